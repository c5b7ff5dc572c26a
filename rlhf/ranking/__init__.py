"""Train a reward model on ranked responses: `batch`, `trainer`, `training`, `assessment`, `centring`."""

from __future__ import annotations
