"""Made-up rows of metrics.jsonl: a healthy run with the noise of a real one, and one run for each trouble."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

Rows = list[tuple[int, dict[str, float]]]
"""Step and metrics, in the order in which the loop writes them."""
Change = Callable[[int, float], float]
"""The new value of a metric, by its step and its healthy value."""

NUM_UPDATES = 100
EVERY = 10  # updates from one evaluation to the next


def healthy(seed: int = 0) -> Rows:
    """A run with the course of the shipped one and about its noise (128 responses a rollout)."""
    draw = random.Random(seed)
    rows: Rows = []
    for step in range(NUM_UPDATES + 1):
        learnt = 1 - math.exp(-step / 15)
        if step > 0:
            kl = 0.0 if step == 1 else 4 * learnt + draw.gauss(0, 0.3 * learnt)
            tokens = draw.gauss(17, 1)
            row = {
                "kl": kl,
                "kl_per_token": kl / tokens,
                "first_ratio_error": draw.choice([0.0, 1e-6]),
                "ended_fraction": 1 - draw.choice([0, 1, 2]) / 128,
                "response_tokens": tokens,
                "num_tokens": round(128 * tokens),
                "explained_variance": -1.5 * math.exp(-step / 3) + 0.6 * learnt + draw.gauss(0, 0.1),
                "score_length_correlation": 0.2 + draw.gauss(0, 0.15),
                "entropy": 0.5 - 0.28 * learnt + draw.gauss(0, 0.02),
                "clip_fraction": abs(draw.gauss(0.1, 0.05)),
                "score": learnt + draw.gauss(0, 0.05),
                "score_std": 1 - 0.5 * learnt + draw.gauss(0, 0.05),
            }
            if row["ended_fraction"] < 1:
                row["cut_score_lead"] = random.Random(f"{seed} {step}").gauss(-1.5, 0.5)
            rows.append((step, {f"ppo/{name}": value for name, value in row.items()}))
        if step % EVERY == 0:
            row = {
                "kl": 4 * learnt,
                "response_tokens": 17.0,
                "score": learnt + draw.gauss(0, 0.02),
                "held_out_score": 0.6 * learnt + draw.gauss(0, 0.03),
            }
            rows.append((step, {f"evaluation/{name}": value for name, value in row.items()}))
    return rows


def changed(rows: Rows, name: str, change: Change) -> Rows:
    """Change a metric wherever it is; with a star at its end, all whose names begin so."""

    def fits(key: str) -> bool:
        return key.startswith(name[:-1]) if name.endswith("*") else key == name

    return [(step, {k: change(step, v) if fits(k) else v for k, v in row.items()}) for step, row in rows]


def at_step(only: int, bad: float) -> Change:
    return lambda step, value: bad if step == only else value


def from_step(first: int, bad: float) -> Change:
    return lambda step, value: bad if step >= first else value


def but_every(count: int, bad: float, good: float) -> Change:
    return lambda step, value: bad if step % count else good


def noise(mean: float, spread: float, *, first: int = 0, seed: int = 0) -> Change:
    """A draw of its own for each step, so that the same run can be made again."""
    return lambda step, value: random.Random(f"{seed} {step}").gauss(mean, spread) if step >= first else value


def rise_and_fall(step: int, _: float) -> float:
    """0 at the start, highest near update 35, well below it at update 100."""
    return 1.4 * (1 - math.exp(-step / 20)) - 0.012 * step + random.Random(step).gauss(0, 0.02)


# The trouble's code, which metric of the healthy run changes how, after which update it is found, and what is
# said of it.
TROUBLES: list[tuple[str, str, Change, int, str]] = [
    ("kl_at_start", "ppo/kl", at_step(1, 0.04), 1, "0.04 nats"),
    ("kl_at_start", "ppo/kl", at_step(1, -0.04), 1, "-0.04 nats"),
    ("kl_at_start", "evaluation/kl", at_step(0, 0.04), 0, "0.04 nats"),
    ("first_ratio", "ppo/first_ratio_error", at_step(1, 0.013), 1, "0.013 away"),
    ("first_ratio", "ppo/first_ratio_error", from_step(30, 2e-4), 30, "0.0002 away"),
    ("no_response_ends", "ppo/ended_fraction", from_step(1, 0.0), 5, "end token is never trained"),
    ("no_response_ends", "ppo/ended_fraction", from_step(41, 0.0), 45, "learnt to run on"),
    ("cut_pays", "ppo/cut_score_lead", from_step(30, 1.5), 42, "by 1.5 in the mean of the last 8"),
    ("cut_pays", "ppo/cut_score_lead", noise(2.0, 0.2), 10, "Set ppo.missing_eos_score"),
    ("nothing_counts", "ppo/num_tokens", from_step(7, 0.0), 7, "no response token"),
    ("negative_kl", "ppo/kl", lambda step, kl: -kl, 10, "sampling.temperature"),
    ("negative_kl", "ppo/kl", noise(-0.05, 0.02, first=50), 59, "no top_k, top_p, min_p"),
    ("useless_critic", "ppo/explained_variance", noise(-0.5, 0.1), 20, "below 0 for 20 updates"),
    ("useless_critic", "ppo/explained_variance", from_step(50, -0.02), 69, "median -0.02"),
    ("score_follows_length", "ppo/score_length_correlation", noise(0.7, 0.1), 10, "longer pays"),
    ("score_follows_length", "ppo/score_length_correlation", noise(-0.7, 0.1), 10, "shorter pays"),
    ("entropy_collapsed", "ppo/entropy", lambda step, h: h * math.exp(-step / 20), 25, "from 0.37 to 0.092"),
    ("kl_runaway", "ppo/kl*", lambda step, kl: 20 * kl, 8, "run away"),
    ("much_clipped", "ppo/clip_fraction", from_step(1, 0.6), 5, "60% of the tokens"),
    ("equal_scores", "ppo/score_std", from_step(20, 0.0), 24, "last 5 updates"),
    ("over_optimised", "evaluation/held_out_score", rise_and_fall, 80, "Stop near update 40"),
    ("over_optimised", "evaluation/held_out_score", lambda step, value: -value, 50, "Stop near update 10"),
]

# The same, but not enough of it: nothing is said.
NEARLY: list[tuple[str, Change]] = [
    ("ppo/kl", at_step(1, 1e-3)),  # rounding
    ("ppo/kl", noise(0.0, 0.05, first=2)),  # the policy hardly moves
    ("ppo/kl", at_step(50, -9.0)),  # one rollout alone
    ("ppo/kl", from_step(2, 0.3)),  # far from 0, but not at the start
    ("ppo/kl", from_step(2, 40.0)),  # long responses
    ("ppo/kl_per_token", from_step(2, 3.0)),  # short responses
    ("evaluation/kl", at_step(0, 1e-3)),
    ("ppo/first_ratio_error", from_step(1, 1e-5)),  # float32
    ("ppo/ended_fraction", but_every(5, 0.0, 1 / 128)),  # few end
    ("ppo/cut_score_lead", noise(-0.3, 1.0)),  # one cut response an update
    ("ppo/cut_score_lead", at_step(50, 9.0)),
    ("ppo/cut_score_lead", from_step(92, 1.0)),  # few updates
    ("ppo/num_tokens", from_step(1, 128.0)),  # all responses are empty but for their end token
    ("ppo/explained_variance", noise(0.0, 0.3)),  # a critic that knows nothing and does no harm
    ("ppo/explained_variance", but_every(20, -0.5, 0.1)),
    ("ppo/explained_variance", from_step(82, -1.0)),  # 19 updates
    ("ppo/score_length_correlation", noise(0.35, 0.15)),
    ("ppo/score_length_correlation", noise(0.0, 0.6)),  # rollouts of a few responses
    ("ppo/score_length_correlation", but_every(10, 0.9, -0.9)),
    ("ppo/entropy", noise(0.05, 0.005)),  # small from the beginning
    ("ppo/entropy", lambda step, value: 4 * math.exp(-step / 20) + 0.2),  # falls far, and stays above 0.1
    ("ppo/entropy", at_step(50, 0.0)),
    ("ppo/clip_fraction", noise(0.3, 0.05)),
    ("ppo/clip_fraction", at_step(50, 1.0)),
    ("ppo/score_std", but_every(5, 0.0, 0.5)),
    ("evaluation/held_out_score", noise(0.0, 0.03, seed=1)),  # neither rises nor falls
    ("evaluation/held_out_score", at_step(70, -1.0)),  # one evaluation alone
]
