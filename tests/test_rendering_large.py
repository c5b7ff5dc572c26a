"""Large sets: rendered in portions, put on disk, encoded by the tokenizer's backend, with the same ids."""

from __future__ import annotations

from typing import Any

import pytest

from rlhf import encoding
from rlhf.feedback import Demonstration, Ranking
from rlhf.rendering import Renderer, render_demonstrations, render_prompts, render_rankings
from tests.conversations import prompt_of
from tests.helpers import tiny_tokenizer
from tests.tokenizers import FAMILIES, gpt2_like


def test_what_is_rendered_in_portions_and_put_on_disk_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # A conversation that is cut comes again in a later portion; a response that is too long.
    texts = [
        "short",
        "long " * 30,
        "s",
        "long " * 30,
        "t",
        "u",
        "long " * 30,
        "<|endoftext|>",
        "<|endoftext|>",
    ]
    prompts = [prompt_of(text) for text in texts]
    rankings = [
        Ranking(one, ("yes", "no " * (30 * (n % 2)) + "x", "perhaps"), (1, 2, 3))
        for n, one in enumerate(prompts)
    ]
    demonstrations = [Demonstration(one, "y " * (1 + 15 * (n % 3))) for n, one in enumerate(prompts)]

    def everything() -> list[Any]:
        found: list[Any] = []
        for render, records in (
            (render_prompts, prompts),
            (render_rankings, rankings),
            (render_demonstrations, demonstrations),
        ):
            renderer = Renderer(gpt2_like(), max_prompt_tokens=40, max_response_tokens=20)
            found += [list(render(records, renderer)), renderer.counts]  # type: ignore[operator]
        return found

    at_once = everything()
    assert at_once[1] == {
        "cut_within_turn": 1,
        "special_text": 1,
    }  # of two conversations that came several times
    assert at_once[3]["dropped_responses"] == 4
    monkeypatch.setattr("rlhf.rendering._AT_ONCE", 2)
    monkeypatch.setattr("rlhf.feedback.shelf.KEPT_IN_MEMORY", 1)
    assert everything() == at_once


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("literal", [False, True])
def test_the_backend_gives_the_ids_of_the_tokenizer_s_own_call(family: str, literal: bool) -> None:
    texts = [
        "Hello  world <|endoftext|> x",
        "",
        " a\n\nb",
        "é 你好 🙂 </s><s>[INST] <|im_end|>",
        "a" * 300,
    ] * 150
    tokenizer = FAMILIES[family]()
    assert encoding._is_plain(tokenizer)
    own = tokenizer(texts, add_special_tokens=False, split_special_tokens=literal)["input_ids"]
    tokenizer.backend_tokenizer.enable_truncation(2)  # as another call may have left it
    tokenizer.backend_tokenizer.enable_padding()
    tokenizer.backend_tokenizer.encode_special_tokens = not literal
    assert encoding._encode(tokenizer, texts, literal=literal) == own


def test_a_tokenizer_with_a_call_of_its_own_is_called() -> None:
    class Own(type(tiny_tokenizer())):  # type: ignore[misc]
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return {"input_ids": [[7]]}

    tokenizer = tiny_tokenizer()
    tokenizer.__class__ = Own
    assert encoding._encode(tokenizer, ["a"], literal=False) == [[7]]
