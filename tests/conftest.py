"""What every test shares: no network, one thread, the same seed, tiny models."""

from __future__ import annotations

import os
import sys

# Before any import of Hugging Face or torch: both read these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import random
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings as hypothesis_settings
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from tests.helpers import tiny_gpt2, tiny_tokenizer
from tests.ppo_stage import words  # noqa: F401  # a fixture for all

torch.set_num_threads(1)
# A slow shared machine must not fail a property; the same examples each time keep failures repeatable.
hypothesis_settings.register_profile("house", deadline=None, derandomize=True)
hypothesis_settings.load_profile("house")


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Tests outlive no power cut: flushing to the disk takes most of their time where it is slow or shared."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def _same_seed() -> None:
    """Every test starts from the same random state, whatever ran before it."""
    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    """A fresh tiny tokenizer."""
    return tiny_tokenizer()


@pytest.fixture
def policy(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """A fresh tiny GPT-2 over the tiny tokenizer."""
    return tiny_gpt2(tokenizer)


@pytest.fixture(autouse=True)
def no_stage_inherits_the_precision_of_another():
    """Forget accelerate's process-wide state, which keeps the first stage's precision; real stages run alone."""
    yield
    state = sys.modules.get("accelerate.state")
    if state is not None:
        state.AcceleratorState._reset_state(reset_partial_state=False)
