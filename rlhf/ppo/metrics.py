"""One update as numbers: what goes to metrics.jsonl, to trackers and to the progress bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from rlhf.maths.kl import kl_k2, kl_k3
from rlhf.maths.masked import Reduce, masked_moments, masked_sum
from rlhf.ppo.types import Experience, UpdateStats


def experience_metrics(
    experience: Experience, reduce: Reduce | None = None, *, has_critic: bool = True
) -> dict[str, float]:
    """Describe a batch of experience over all processes.

    `ppo/kl` is the KL that is penalised (k1, nats, mean over responses of the sum over tokens), beside the
    estimates k2 and k3 of the same. `ppo/reward` is the mean of what the responses' rewards add up to: where
    KL is in the reward, `ppo/score` - kl_coef * `ppo/kl`. `ppo/cut_score_lead` is by how much responses that
    were cut score higher than those that ended; it is missing where there are not both.
    """
    mask = experience.generation.response_mask
    k2, k3 = (estimate(experience.old_logprobs, experience.ref_logprobs) for estimate in (kl_k2, kl_k3))
    per_response = {
        "ppo/raw_score": experience.raw_scores + experience.token_scores.sum(1),
        "ppo/score": experience.total_scores,
        "ppo/kl": experience.kl.sum(1),
        "ppo/kl_k2": masked_sum(k2, mask, dim=1),
        "ppo/kl_k3": masked_sum(k3, mask, dim=1),
        "ppo/reward": experience.rewards.sum(1),
        "ppo/response_tokens": mask.sum(1).float(),
        "ppo/ended_fraction": experience.generation.ended.float(),
        **{f"ppo/{name}": values.to(mask.device) for name, values in experience.score_parts.items()},
    }
    every = torch.ones_like(experience.generation.ended)
    moments = {name: masked_moments(values, every, reduce) for name, values in per_response.items()}
    metrics = {name: float(mean) for name, (mean, _, _) in moments.items()}
    metrics["ppo/score_std"] = math.sqrt(float(moments["ppo/score"][1]))
    metrics["ppo/score_length_correlation"] = _correlation(
        per_response["ppo/score"], per_response["ppo/response_tokens"], reduce
    )
    metrics.update(_cut_score_lead(experience, reduce))
    for name, tokens in (("ppo/kl_per_token", experience.kl), ("ppo/entropy", experience.entropy)):
        mean, _, count = masked_moments(tokens, mask, reduce)
        metrics[name], metrics["ppo/num_tokens"] = float(mean), float(count)
    if has_critic:
        metrics.update(_critic_metrics(experience, mask, reduce))
    metrics["ppo/kl_coef"] = experience.kl_coef
    return metrics


def _cut_score_lead(experience: Experience, reduce: Reduce | None) -> dict[str, float]:
    scores, ended = experience.total_scores, experience.generation.ended.to(experience.total_scores.device)
    (of_cut, _, num_cut), (of_ended, _, num_ended) = (
        masked_moments(scores, which, reduce) for which in (~ended, ended)
    )
    return {"ppo/cut_score_lead": float(of_cut - of_ended)} if num_cut > 0 and num_ended > 0 else {}


def _critic_metrics(experience: Experience, mask: Tensor, reduce: Reduce | None) -> dict[str, float]:
    _, unexplained, _ = masked_moments(experience.returns - experience.old_values, mask, reduce)
    value_mean, _, _ = masked_moments(experience.old_values, mask, reduce)
    return_mean, variance, _ = masked_moments(experience.returns, mask, reduce)
    explained = float(1 - unexplained / variance) if float(variance) > 0 else 0.0
    return {
        "ppo/value_mean": float(value_mean),
        "ppo/return_mean": float(return_mean),
        "ppo/explained_variance": explained,
    }


def _correlation(one: Tensor, other: Tensor, reduce: Reduce | None) -> float:
    """Return Pearson's r of two (B,) over all processes; 0 where one of them does not vary."""
    every = torch.ones_like(one, dtype=torch.bool)
    (mean_one, var_one, _), (mean_other, var_other, _) = (
        masked_moments(values, every, reduce) for values in (one, other)
    )
    product, _, _ = masked_moments((one - mean_one) * (other - mean_other), every, reduce)
    scale = math.sqrt(float(var_one) * float(var_other))
    return float(product) / scale if scale > 0 else 0.0


def update_metrics(stats: UpdateStats) -> dict[str, float]:
    """Name the statistics of an update."""
    return {f"ppo/{name}": float(value) for name, value in asdict(stats).items()}


def seconds_metrics(seconds: Mapping[str, float]) -> dict[str, float]:
    """Name the seconds of each phase of an update and of the whole."""
    named = {f"seconds/{phase}": value for phase, value in seconds.items()}
    return {**named, "seconds/update": sum(seconds.values())}


def progress_line(metrics: Mapping[str, float]) -> dict[str, str]:
    """Return the few numbers a person watches, short enough for a progress bar."""
    shown = {
        "score": ("ppo/score", "{:+.2f}"),
        "kl": ("ppo/kl", "{:.2f}"),
        "tokens": ("ppo/response_tokens", "{:.0f}"),
        "entropy": ("ppo/entropy", "{:.2f}"),
        "clip": ("ppo/clip_fraction", "{:.2f}"),
        "explained": ("ppo/explained_variance", "{:.2f}"),
    }
    return {name: form.format(metrics[key]) for name, (key, form) in shown.items() if key in metrics}


def sample_rows(experience: Experience, count: int) -> list[dict[str, Any]]:
    """Return the first `count` responses of this process as rows of samples.jsonl."""
    kl, tokens = experience.kl.sum(1).tolist(), experience.generation.response_mask.sum(1).tolist()
    return [
        {
            "kind": "rollout",
            "prompt_id": experience.prompts[i].id,
            "prompt": experience.prompts[i].as_dicts(),
            "response": experience.texts[i],
            "score": float(experience.total_scores[i]),
            "kl": kl[i],
            "response_tokens": tokens[i],
            "ended": bool(experience.generation.ended[i]),
        }
        for i in range(min(count, len(experience.prompts)))
    ]
