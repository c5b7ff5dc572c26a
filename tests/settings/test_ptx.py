"""Settings of text beside the prompts of PPO."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from rlhf.settings.ptx import HeldOutTextSettings, PtxSettings, check_held_out

GENERATOR = "data/pocket_world/raw_text.py:documents"


def ptx(**values: Any) -> PtxSettings:
    return PtxSettings(**values)


def test_defaults_are_those_of_the_paper_where_it_has_one() -> None:
    settings = ptx(text=[{"path": "a.txt", "format": "text"}])
    assert (settings.coef, settings.generator, settings.demonstrations) == (27.8, None, ())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "nothing to learn from: set text, generator or demonstrations"),
        ({"generator": GENERATOR}, "num_documents has to say how many texts are taken from the generator"),
        ({"text": [{"path": "a"}], "num_documents": 5}, "are only read where generator is set"),
        ({"text": [{"path": "a"}], "generator_seed": 5}, "are only read where generator is set"),
        ({"text": [{"path": "a"}], "coef": -1.0}, "greater than or equal to 0"),
        ({"text": [{"path": "a"}], "max_tokens": 1}, "greater than or equal to 8"),
        ({"text": [{"path": "a"}], "coefficient": 1.0}, "Extra inputs are not permitted"),
    ],
)
def test_what_says_nothing_or_would_be_ignored_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ptx(**values)


def test_held_out_text_is_needed_too() -> None:
    with pytest.raises(ValidationError, match="no text: set text or generator"):
        HeldOutTextSettings()


def test_what_is_learnt_is_not_measured_on() -> None:
    drawn = {"generator": GENERATOR, "num_documents": 5}
    file = {"path": "a.txt", "format": "text"}
    with pytest.raises(ValueError, match="same generator_seed; set another one"):
        check_held_out(ptx(**drawn), HeldOutTextSettings(**{**drawn, "num_documents": 3}))
    with pytest.raises(ValueError, match=r"evaluation.text has 'a.txt' as ptx.text has it"):
        check_held_out(ptx(text=[file]), HeldOutTextSettings(text=[file]))
    check_held_out(ptx(**drawn), HeldOutTextSettings(**drawn, generator_seed=1))
    train, validation = ({**file, "split": split} for split in ("train", "validation"))
    check_held_out(ptx(text=[train]), HeldOutTextSettings(text=[validation]))
    check_held_out(ptx(text=[train]), None)
    check_held_out(None, HeldOutTextSettings(**drawn))
