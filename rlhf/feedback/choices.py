"""The words that a source's settings may have."""

from __future__ import annotations

from typing import Literal

__all__ = ["TIES", "Best", "Format", "LabelLayout", "OnBadRow", "Outcome", "Replies", "Split", "StrengthFrom"]

Format = Literal["auto", "canonical", "transcript", "pair", "pairwise", "scored", "tree", "text"]
Split = Literal["train", "validation", "test"]
Replies = Literal["best", "all"]
OnBadRow = Literal["stop", "skip"]
Outcome = Literal["first", "second", "tie"]
Best = Literal["highest", "lowest"]
StrengthFrom = Literal["column", "labels", "scores"]
LabelLayout = Literal["pairs", "annotators", "one_hot"]

TIES = frozenset({"tie", "tied", "equal", "draw"})
"""Words that say that no response is the better one."""
