"""One update as numbers: what goes to metrics.jsonl, to trackers and to the progress bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from rlhf.maths.masked import Reduce, masked_moments
from rlhf.ppo.types import Experience, UpdateStats


def experience_metrics(experience: Experience, reduce: Reduce | None = None) -> dict[str, float]:
    """Describe a batch of experience over all processes.

    `ppo/kl` is the KL that is penalised (k1, nats, mean over responses of the sum over tokens), `ppo/reward`
    is `ppo/score` - kl_coef * `ppo/kl`: the mean of what the responses' rewards add up to.
    """
    mask = experience.generation.response_mask
    every = torch.ones_like(experience.generation.ended)
    per_response = {
        "ppo/raw_score": experience.raw_scores,
        "ppo/score": experience.scores,
        "ppo/kl": experience.kl.sum(1),
        "ppo/reward": experience.rewards.sum(1),
        "ppo/response_tokens": mask.sum(1).float(),
        "ppo/ended_fraction": experience.generation.ended.float(),
    }
    metrics: dict[str, float] = {}
    for name, values in per_response.items():
        mean, variance, _ = masked_moments(values, every, reduce)
        metrics[name] = float(mean)
        if name == "ppo/score":
            metrics["ppo/score_std"] = math.sqrt(float(variance))
    for name, tokens in (("ppo/kl_per_token", experience.kl), ("ppo/entropy", experience.entropy)):
        metrics[name] = float(masked_moments(tokens, mask, reduce)[0])
    _, unexplained, _ = masked_moments(experience.returns - experience.old_values, mask, reduce)
    value_mean, _, _ = masked_moments(experience.old_values, mask, reduce)
    return_mean, variance, _ = masked_moments(experience.returns, mask, reduce)
    metrics["ppo/value_mean"], metrics["ppo/return_mean"] = float(value_mean), float(return_mean)
    metrics["ppo/explained_variance"] = float(1 - unexplained / variance) if float(variance) > 0 else 0.0
    metrics["ppo/kl_coef"] = experience.kl_coef
    return metrics


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
    return {name: form.format(metrics[key]) for name, (key, form) in shown.items()}


def sample_rows(experience: Experience, count: int) -> list[dict[str, Any]]:
    """Return the first `count` responses of this process as rows of samples.jsonl."""
    kl, tokens = experience.kl.sum(1).tolist(), experience.generation.response_mask.sum(1).tolist()
    return [
        {
            "kind": "rollout",
            "prompt_id": experience.prompts[i].id,
            "prompt": experience.prompts[i].as_dicts(),
            "response": experience.texts[i],
            "score": float(experience.scores[i]),
            "kl": kl[i],
            "response_tokens": tokens[i],
            "ended": bool(experience.generation.ended[i]),
        }
        for i in range(min(count, len(experience.prompts)))
    ]
