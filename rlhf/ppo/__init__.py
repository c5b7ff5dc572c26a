"""Proximal policy optimisation from human feedback: our own loop on `accelerate`.

The algorithm, from the prompt to the step:

- `rlhf.ppo.verbs`: `rollout`, `score`, `advantages` and `update`, callable one by one
- `rlhf.ppo.types`: one dataclass a station of a prompt's journey
- `rlhf.ppo.steps`: roll out and score; `rlhf.ppo.credit`: compare, reward, credit
- `rlhf.ppo.objective`: the terms of the loss; `rlhf.ppo.update`: the optimizer steps
- `rlhf.ppo.ptx`: text that is learned beside the experience
- `rlhf.ppo.batching`: which prompt comes when, and which rows share a forward pass

A run of it:

- `rlhf.ppo.recipe`: the numbers; `rlhf.ppo.parts`: models, optimizers, the accelerator
- `rlhf.ppo.iteration`: one update; `rlhf.ppo.loop`: update after update
- `rlhf.ppo.evaluation`: held-out prompts; `rlhf.ppo.metrics`: what is recorded
- `rlhf.ppo.checkpoint`: save, find, verify and restore; `rlhf.ppo.averaged`: the average of the weights
- `rlhf.ppo.callbacks`: the user's code; `rlhf.ppo.interruption`: Ctrl-C and SIGTERM

Importing this package imports nothing heavy.
"""

from __future__ import annotations
