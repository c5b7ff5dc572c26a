"""One PPO update in NumPy and float64, written from the papers alone, without a line of the code under test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

B, R, V, SAMPLES = 6, 7, 11, 3
EPOCHS, KL_COEF, GAMMA, LAMBDA, TEMPERATURE = 2, 0.15, 0.98, 0.95, 0.8
CLIP, VALUE_CLIP, ENTROPY_COEF = 0.2, 0.25, 0.1
SCORE_LIMIT, EOS_PENALTY, EOS_SCORE = 1.5, 0.5, -1.0
LEARNING_RATE, BETAS, ADAM_EPSILON = 1e-3, (0.9, 0.999), 1e-5
GROUP_EPSILON = 1e-6  # not in the paper, but in every implementation

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """What a published recipe does differently from the plain one."""

    clip_range_high: float | None = None  # DAPO
    dual_clip: float | None = None  # Ye et al.
    entropy_coef: float = 0.0  # Schulman et al. 2017, equation 9
    kl_loss: str | None = None  # "k2" or "k3": the KL is a loss, and not in the reward
    missing_eos: str = "subtract"  # TRL; or "replace": Stiennon et al., Huang et al.
    score_place: str = "last"  # the last token that counts; or "tokens": a score a token
    advantages: str = "gae"  # or "leave_one_out" (RLOO), "group_normalised" (GRPO)
    loss_average: str = "tokens"  # or "responses" (GRPO)


def fixed_batch() -> Arrays:
    """Fixed tensors of one update: responses of 7, 4, 1, 6, 7 and 3 tokens, two of them cut."""
    random = np.random.default_rng(20)
    logits = random.normal(size=(B, R, V))
    return {
        "mask": np.arange(R) < np.array([7, 4, 1, 6, 7, 3])[:, None],
        "ended": np.array([False, True, True, True, False, True]),
        "ids": random.integers(V, size=(B, R)),
        "logits": logits + random.normal(size=(B, R, V)) / 5,  # of the policy after some steps
        "old_logits": logits,
        "ref_logits": logits + random.normal(size=(B, R, V)) / 3,
        "old_values": (old_values := random.normal(size=(B, R))),
        "values": old_values + random.normal(size=(B, R)) / 3,
        "scores": random.normal(size=B) * 2,
        "token_scores": random.normal(size=(B, R)),
    }


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities of every word at the sampling temperature."""
    weights = np.exp(logits / TEMPERATURE)
    return np.log(weights / weights.sum(-1, keepdims=True))


def of_sampled(logits: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Log-probabilities of the sampled words."""
    return np.take_along_axis(log_softmax(logits), ids[..., None], -1)[..., 0]


def token_rewards(batch: Arrays, recipe: Recipe) -> list[list[float]]:
    """Ziegler et al. 2019, equation 2: score minus beta times log ratio, the score where the recipe puts it."""
    old, ref = (of_sampled(batch[name], batch["ids"]) for name in ("old_logits", "ref_logits"))
    result = []
    for b in range(B):
        length = int(batch["mask"][b].sum())
        in_reward = KL_COEF if recipe.kl_loss is None else 0.0
        rewards = [-in_reward * (old[b, t] - ref[b, t]) for t in range(length)]
        score = min(max(batch["scores"][b], -SCORE_LIMIT), SCORE_LIMIT)
        if recipe.score_place == "tokens":
            score = 0.0
            rewards = [r + batch["token_scores"][b, t] for t, r in enumerate(rewards)]
        if not batch["ended"][b]:
            score = score - EOS_PENALTY if recipe.missing_eos == "subtract" else EOS_SCORE
        rewards[-1] += score
        result.append(rewards)
    return result


def credit(batch: Arrays, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Advantages as the policy gets them, and returns (0 without a critic)."""
    rewards, mask = token_rewards(batch, recipe), batch["mask"]
    advantages, returns = np.zeros((B, R)), np.zeros((B, R))
    totals = [sum(row) for row in rewards]
    for b in range(B):
        length, values = len(rewards[b]), [*batch["old_values"][b, : len(rewards[b])], 0.0]
        first = b // SAMPLES * SAMPLES
        group = totals[first : first + SAMPLES]
        for t in range(length):
            if recipe.advantages == "leave_one_out":  # Ahmadian et al. 2024
                advantages[b, t] = totals[b] - (sum(group) - totals[b]) / (SAMPLES - 1)
            elif recipe.advantages == "group_normalised":  # Shao et al. 2024, section 4.1.2
                advantages[b, t] = (totals[b] - np.mean(group)) / (np.std(group) + GROUP_EPSILON)
            else:  # Schulman et al. 2016, equation 16
                for k in range(t, length):
                    delta = rewards[b][k] + GAMMA * values[k + 1] - values[k]
                    advantages[b, t] += (GAMMA * LAMBDA) ** (k - t) * delta
                returns[b, t] = advantages[b, t] + values[t]
    if recipe.advantages == "gae":  # whitened over the tokens of the batch
        counted = advantages[mask]
        advantages = np.where(mask, (advantages - counted.mean()) / counted.std(), 0.0)
    return advantages, returns


def policy_token(
    new: float, old: float, ref: float, advantage: float, recipe: Recipe
) -> tuple[float, float, float, float]:
    """Surrogate loss and KL loss of one token, each with its slope in the log-probability."""
    ratio = np.exp(new - old)
    high = CLIP if recipe.clip_range_high is None else recipe.clip_range_high
    plain, clipped = ratio * advantage, min(max(ratio, 1 - CLIP), 1 + high) * advantage
    objective, slope = min(plain, clipped), -plain if plain <= clipped else 0.0  # d exp(x) = exp(x)
    if recipe.dual_clip is not None and advantage < 0 and objective < recipe.dual_clip * advantage:
        objective, slope = recipe.dual_clip * advantage, 0.0  # Ye et al. 2020: max(min(...), c A)
    if recipe.kl_loss == "k2":
        kl, kl_slope = ratio * (new - ref) ** 2 / 2, ratio * (new - ref)  # no slope through the ratio
    elif recipe.kl_loss == "k3":  # Shao et al. 2024, equation 4
        kl, kl_slope = np.exp(ref - new) - (ref - new) - 1, 1 - np.exp(ref - new)
    else:
        kl = kl_slope = 0.0
    return -objective, slope, kl, kl_slope


def epoch(
    batch: Arrays, recipe: Recipe, advantages: np.ndarray, returns: np.ndarray, logits, values
) -> Arrays:
    """Losses of one pass over the batch and their gradients in logits and values."""
    mask, lengths = batch["mask"], batch["mask"].sum(1)
    old, ref = (of_sampled(batch[name], batch["ids"]) for name in ("old_logits", "ref_logits"))
    new, logs = of_sampled(logits, batch["ids"]), log_softmax(logits)
    found: Arrays = dict.fromkeys(("policy_loss", "kl_loss", "entropy_loss", "value_loss"), 0.0)
    found["logit_gradient"], found["value_gradient"] = np.zeros((B, R, V)), np.zeros((B, R))
    for b, t in zip(*np.nonzero(mask), strict=True):
        share = 1 / mask.sum() if recipe.loss_average == "tokens" else 1 / lengths[b] / B
        loss, slope, kl, kl_slope = policy_token(new[b, t], old[b, t], ref[b, t], advantages[b, t], recipe)
        probs, one_hot = np.exp(logs[b, t]), np.eye(V)[batch["ids"][b, t]]
        entropy = -(probs * logs[b, t]).sum()
        gradient = (slope + KL_COEF * kl_slope) * (one_hot - probs)
        gradient = gradient + recipe.entropy_coef * probs * (logs[b, t] + entropy)
        found["logit_gradient"][b, t] = share * gradient / TEMPERATURE
        value, old_value, target = values[b, t], batch["old_values"][b, t], returns[b, t]
        near = min(max(value, old_value - VALUE_CLIP), old_value + VALUE_CLIP)
        far, clipped = (value - target) ** 2, (near - target) ** 2
        found["value_gradient"][b, t] = share * (value - target) if far >= clipped else 0.0
        losses = (("policy", loss), ("kl", kl), ("entropy", -entropy), ("value", max(far, clipped) / 2))
        for name, of_token in losses:
            found[f"{name}_loss"] += share * of_token
    return found


def reference(batch: Arrays, recipe: Recipe) -> Arrays:
    """A whole update: EPOCHS passes, each followed by a step of Adam (Kingma and Ba 2015, algorithm 1)."""
    advantages, returns = credit(batch, recipe)
    result: Arrays = {"advantages": advantages, "returns": returns}
    weights = {"logit": batch["logits"].copy(), "value": batch["values"].copy()}
    first = {name: np.zeros_like(x) for name, x in weights.items()}
    second = {name: np.zeros_like(x) for name, x in weights.items()}
    for step in range(1, EPOCHS + 1):
        found = epoch(batch, recipe, advantages, returns, weights["logit"], weights["value"])
        result |= {f"{name} {step}": value for name, value in found.items()}
        for name in weights:
            gradient = found[f"{name}_gradient"]
            first[name] = BETAS[0] * first[name] + (1 - BETAS[0]) * gradient
            second[name] = BETAS[1] * second[name] + (1 - BETAS[1]) * gradient**2
            mean, square = first[name] / (1 - BETAS[0] ** step), second[name] / (1 - BETAS[1] ** step)
            weights[name] = weights[name] - LEARNING_RATE * mean / (np.sqrt(square) + ADAM_EPSILON)
    return result | {"logits": weights["logit"], "values": weights["value"]}
