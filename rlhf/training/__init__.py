"""What pre-training, SFT and reward training share on top of `transformers.Trainer`: `plan`, `order`, `loop`."""

from __future__ import annotations
