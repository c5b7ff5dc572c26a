"""Proximal policy optimisation from human feedback: our own loop on `accelerate`.

- `rlhf.ppo.types`: one dataclass a station of a prompt's journey
- `rlhf.ppo.steps`: the verbs `rollout`, `score`, `advantages`, callable one by one
- `rlhf.ppo.update`: the fourth verb, `update`
- `rlhf.ppo.batching`: which prompt comes when, and which rows share a forward pass
- `rlhf.ppo.parts`: what a run is made of: models, optimizers, the accelerator
- `rlhf.ppo.evaluation`: held-out prompts
- `rlhf.ppo.checkpoint`: save, find, verify and restore
- `rlhf.ppo.loop`: all of it, update after update

Importing this package imports nothing heavy.
"""

from __future__ import annotations
