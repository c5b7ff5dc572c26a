"""Lengths (invariants 25 and 26): prompts are cut from the left, responses never, and all is counted."""

from __future__ import annotations

from typing import Any

import pytest

from rlhf.errors import DataError, SettingsError
from rlhf.feedback import Demonstration, Message, Prompt, Ranking
from rlhf.rendering import (
    Renderer,
    render_demonstrations,
    render_prompts,
    render_rankings,
)
from tests.conversations import ASK, families, long_talk, prompt_of
from tests.helpers import tiny_tokenizer
from tests.tokenizers import FAMILIES


@families
def test_inv25_prompts_lose_their_oldest_turns_first(family: str) -> None:
    whole = Renderer(FAMILIES[family]())
    system = {"role": "system", "content": "Be kind."}
    talk = long_talk(7)
    limit = len(whole.render_prompt(talk[4:])) + 1
    renderer = Renderer(FAMILIES[family](), max_prompt_tokens=limit)
    assert renderer.render_prompt(talk) == whole.render_prompt(talk[4:])
    assert renderer.counts == {"cut_to_last_turns": 1}
    if family == "llama2_template":  # it takes no system message
        return
    limit = len(whole.render_prompt([system, *talk[4:]]))
    renderer = Renderer(FAMILIES[family](), max_prompt_tokens=limit)
    assert renderer.render_prompt([system, *talk]) == whole.render_prompt([system, *talk[4:]])


@families
def test_inv25_last_turn_loses_its_beginning_and_the_template_stays(family: str) -> None:
    whole = Renderer(FAMILIES[family]())
    empty = whole.render_prompt([{"role": "user", "content": ""}])
    content = "first words of a 🐈 long question about the baker, the bread and the cat"
    for room in range(1, 20):
        renderer = Renderer(FAMILIES[family](), max_prompt_tokens=len(empty) + room)
        ids = renderer.render_prompt([*long_talk(2), {"role": "user", "content": content}])
        assert len(ids) <= len(empty) + room
        assert renderer.counts == {"cut_within_turn": 1}
        before, after = whole.decode_prompt(empty), renderer.decode_prompt(ids)
        kept = max(
            (content[start:] for start in range(len(content))), key=lambda end: len(end) * (end in after)
        )
        assert not kept or after.replace(kept, "", 1).split() == before.split(), "only the content is cut"
        assert "first words" not in after


def test_inv25_system_message_that_leaves_no_room_is_an_error() -> None:
    renderer = Renderer(tiny_tokenizer(), max_prompt_tokens=12)
    messages = [{"role": "system", "content": "Be very kind to the baker. " * 5}, *ASK]
    with pytest.raises(
        DataError, match=r"needs \d+ tokens even without its user's text.*max_prompt_tokens is 12"
    ):
        renderer.render_prompt(messages)


def test_inv25_responses_are_never_cut() -> None:
    renderer = Renderer(tiny_tokenizer(), max_response_tokens=6)
    with pytest.raises(DataError, match=r"a response has \d+ tokens; max_response_tokens is 6"):
        renderer.render_response("The baker lives in the red house near the river.")
    prompt = prompt_of("Why?")
    long = "The baker lives in the red house near the river and sells bread."
    rankings = [
        Ranking(prompt, ("a", long, "b"), (3, 1, 2)),  # the best goes, the other two stay compared
        Ranking(prompt, ("a", long), (1, 2)),  # nothing compared is left
        Ranking(prompt, ("a", "b"), (1, 1)),
    ]
    first, tie = render_rankings(rankings, renderer)
    assert (first.kept, first.ranks, first.comparisons) == ([0, 2], [3, 2], [(1, 0, 1.0)])
    assert first.response_ids == [renderer.render_response("a"), renderer.render_response("b")]
    assert tie.comparisons == [(0, 1, 0.5)]
    demonstrations = render_demonstrations(
        [Demonstration(prompt, long), Demonstration(prompt, "a")], renderer
    )
    assert len(demonstrations) == 1
    assert demonstrations[0].prompt is prompt
    assert (renderer.counts["dropped_responses"], renderer.counts["dropped_rankings"]) == (3, 1)
    assert "responses dropped (longer than max_response_tokens or the context): 3" in renderer.report()
    with pytest.raises(DataError, match="none of 1 rankings is left after rendering: responses dropped"):
        render_rankings(rankings[1:2], renderer)


def test_inv25_prompts_may_be_dropped_instead() -> None:
    renderer = Renderer(tiny_tokenizer(), max_prompt_tokens=8)
    prompts = [prompt_of("Hi"), prompt_of("The baker lives in the red house near the river.")]
    assert [one.prompt for one in render_prompts(prompts, renderer, too_long="drop")] == prompts[:1]
    assert renderer.counts == {"dropped_prompts": 1}
    assert len(render_prompts(prompts, renderer, too_long="cut")) == 2
    with pytest.raises(ValueError, match="too_long is cut or drop"):
        render_prompts(prompts, renderer, too_long="keep")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prompt", "response", "context", "expected"),
    [
        (None, 28, 128, 100),
        (60, 28, 128, 60),
        (100, 28, 128, 100),
        (None, None, 128, 127),
        (50, None, None, 50),
    ],
)
def test_inv26_prompt_and_response_fit_into_the_context(
    prompt: int | None, response: int | None, context: int | None, expected: int
) -> None:
    limits: dict[str, Any] = {"max_prompt_tokens": prompt, "max_response_tokens": response}
    assert Renderer(tiny_tokenizer(), **limits, context_tokens=context).max_prompt_tokens == expected


@pytest.mark.parametrize(("prompt", "response"), [(101, 28), (128, None), (None, 128), (0, 5), (5, 0)])
def test_inv26_limits_that_do_not_fit_are_refused(prompt: int | None, response: int | None) -> None:
    with pytest.raises(SettingsError, match=r"context of 128 tokens|must be at least 1"):
        Renderer(tiny_tokenizer(), max_prompt_tokens=prompt, max_response_tokens=response, context_tokens=128)


def test_inv26_limits_are_met_exactly() -> None:
    prompt, response = (
        Renderer(tiny_tokenizer()).render_prompt(ASK),
        Renderer(tiny_tokenizer()).render_response("It is."),
    )
    sizes = (len(prompt), len(response))
    fitting = Renderer(
        tiny_tokenizer(), max_prompt_tokens=sizes[0], max_response_tokens=sizes[1], context_tokens=sum(sizes)
    )
    assert fitting.render_demonstration(ASK, "It is.").ids == prompt + response
    assert not fitting.counts
    with pytest.raises(DataError, match="a response has"):
        Renderer(tiny_tokenizer(), max_response_tokens=sizes[1] - 1).render_response("It is.")
    with pytest.raises(DataError, match="prompt and response have"):
        Renderer(tiny_tokenizer(), context_tokens=sum(sizes) - 1).render_demonstration(ASK, "It is.")
    Renderer(tiny_tokenizer(), context_tokens=sum(sizes)).render_demonstration(ASK, "It is.")


def test_inv26_sequence_beyond_the_context_is_not_rendered() -> None:
    renderer = Renderer(tiny_tokenizer(), context_tokens=20)
    with pytest.raises(DataError, match=r"prompt and response have \d+ tokens; the context is 20"):
        renderer.render_demonstration([{"role": "user", "content": "Hi"}], "The baker lives there. " * 5)
    assert len(renderer.render_demonstration(ASK, "").ids) <= 20, (
        "an empty response leaves room for a prompt of 19"
    )


def test_inv26_records_beyond_the_context_are_dropped_and_counted() -> None:
    prompt, long = prompt_of("Why?"), "The baker lives in the red house near the river. " * 2
    limit = len(Renderer(tiny_tokenizer()).render_demonstration(prompt.messages, long).ids) - 1
    renderer = Renderer(tiny_tokenizer(), context_tokens=limit)
    (ranking,) = render_rankings([Ranking(prompt, ("a", long, "b"), (2, 1, 3))], renderer)
    assert (ranking.kept, ranking.ranks) == ([0, 2], [2, 3])
    demonstrations = [Demonstration(prompt, long), Demonstration(prompt, "a")]
    assert [len(one.ids) <= limit for one in render_demonstrations(demonstrations, renderer)] == [True]
    assert renderer.counts["dropped_responses"] == 2


def test_inv42_what_follows_a_dropped_prompt_keeps_its_own_responses_and_columns() -> None:
    renderer = Renderer(tiny_tokenizer(), max_prompt_tokens=12)
    refused = Prompt("long", (Message("system", "Be very kind. " * 9), Message("user", "Why?")), "g", "f:1")
    prompt = prompt_of("Hi")
    rankings = [Ranking(refused, ("a", "b"), (1, 2)), Ranking(prompt, ("c", "d"), (1, 2))]
    (ranking,) = render_rankings(rankings, renderer)
    assert ranking.prompt is prompt
    assert ranking.response_ids == [renderer.render_response(text) for text in ("c", "d")]
    assert [one.prompt for one in render_prompts([refused, prompt], renderer)] == [prompt]
    (demonstration,) = render_demonstrations(
        [Demonstration(refused, "a"), Demonstration(prompt, "c")], renderer
    )
    assert demonstration.response_ids == renderer.render_response("c")
    assert renderer.counts["dropped_prompts"] == 3


def test_inv21_a_response_that_holds_a_stop_token_is_refused() -> None:
    """The generation config may list an ordinary word as a stop: what follows it would never be said."""
    tokenizer = tiny_tokenizer()
    (comma,) = tokenizer(",", add_special_tokens=False)["input_ids"]
    renderer = Renderer(tokenizer, extra_stop_token_ids=(comma,))
    with pytest.raises(DataError, match="holds the end token"):
        renderer.render_response("Yes, warm.")
    assert renderer.render_response("Yes")[-1] == renderer.end_token_id
