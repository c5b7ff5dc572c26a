"""The four verbs of PPO in one place, for a notebook:

    from rlhf.ppo.verbs import advantages, rollout, score, update

Each takes what the one before gave; what they take is explained where they are defined.
"""

from __future__ import annotations

from rlhf.ppo.credit import advantages
from rlhf.ppo.objective import Objective
from rlhf.ppo.steps import ScoreRules, rollout, score
from rlhf.ppo.update import update

__all__ = ["Objective", "ScoreRules", "advantages", "rollout", "score", "update"]
