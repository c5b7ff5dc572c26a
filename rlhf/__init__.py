"""Reinforcement learning from human feedback, whole: demonstrations, rankings, PPO.

Importing this package imports nothing heavy; take what you need from its modules
(``rlhf.maths``, ``rlhf.feedback``, ``rlhf.models``, ``rlhf.ppo`` ...).
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
