"""What pre-training, SFT and reward training share above `transformers.Trainer`: `plan`, `order`, `loop`."""

from __future__ import annotations
