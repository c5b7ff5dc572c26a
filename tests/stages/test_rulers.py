"""A check measures with the renderer that the stage will use, also where that depends on the model's part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlhf.errors import UserError
from rlhf.feedback.records import Message
from rlhf.models.loading import build_reward_model
from rlhf.settings.shared import ModelSettings
from stages import _inputs
from stages._limits import Limits
from stages._rulers import open_ruler
from tests.seq2seq import write_seq2seq

ASKED = (Message("user", "Where is the red house?"),)
LIMITS = Limits(48, 40, "sft")
ANSWER = "Near the river."


def ids_of(renderer: Any) -> list[int]:
    return [*renderer.render_prompt(ASKED), *renderer.render_response(ANSWER)]


@pytest.mark.parametrize("name", ["t5", "t5_bytes", "bart"])
def test_a_policy_that_reads_its_prompt_apart_is_measured_so(tmp_path: Path, name: str) -> None:
    model = ModelSettings(path=write_seq2seq(tmp_path / name, name))
    tokenizer, policy = _inputs.open_tokenizer(model), _inputs.open_policy(model)
    of_stage = _inputs.build_renderer(tokenizer, policy, LIMITS)
    ruler = open_ruler(model, LIMITS, "model.path", scores=False)
    assert ruler.limited is not None
    assert (ruler.whole.pairs, ruler.whole.opening) == (False, of_stage.opening)
    assert ids_of(ruler.whole) == ids_of(ruler.limited) == ids_of(of_stage)
    assert ruler.limited.max_prompt_tokens == of_stage.max_prompt_tokens == 48


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_a_reward_model_of_an_encoder_decoder_reads_two_texts(tmp_path: Path, name: str) -> None:
    model = ModelSettings(path=write_seq2seq(tmp_path / name, name))
    tokenizer = _inputs.open_tokenizer(model, pairs=True)
    of_stage = _inputs.build_renderer(tokenizer, build_reward_model(model.path), LIMITS)
    ruler = open_ruler(model, LIMITS, "model.path", scores=True)
    assert ruler.limited is not None
    assert ruler.whole.pairs
    assert ids_of(ruler.whole) == ids_of(ruler.limited) == ids_of(of_stage)


def test_a_tokenizer_that_parts_no_texts_is_for_a_policy_only(tmp_path: Path) -> None:
    model = ModelSettings(path=write_seq2seq(tmp_path / "t5", "t5_bytes"))
    with pytest.raises(UserError, match="two texts"):
        open_ruler(model, LIMITS, "model.path", scores=True)
