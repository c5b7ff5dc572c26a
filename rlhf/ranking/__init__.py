"""A reward model from rankings: `batch`, `sharing`, `trainer`, `training`, `assessment`, `centring`."""

from __future__ import annotations
