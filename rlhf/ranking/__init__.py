"""A reward model from rankings: batch, opinions, sharing, trainer, training, assessment, centring."""

from __future__ import annotations
