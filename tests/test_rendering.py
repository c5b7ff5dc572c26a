"""Text to ids and back, over tokenizers that differ in every way that has gone wrong before."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.errors import DataError, ModelError
from rlhf.feedback import Demonstration, Ranking
from rlhf.rendering import (
    Rendered,
    Renderer,
    pad_left,
    pad_right,
    render_demonstrations,
    render_prompts,
    render_rankings,
    supply_chat_template,
)
from tests.conversations import ASK, TALK, families, long_talk, prompt_of
from tests.helpers import tiny_tokenizer
from tests.tokenizers import CHATML, FAMILIES, gpt2_like, llama_like, qwen_like

# Invariant 17: masks come from lengths


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=5), st.integers(0, 9))
def test_inv17_masks_come_from_lengths_whatever_the_pad_id(rows: list[list[int]], pad_id: int) -> None:
    for pad, left in ((pad_left, True), (pad_right, False)):
        ids, mask = pad(rows, pad_id)
        width = max(map(len, rows))
        assert ids.shape == mask.shape == (len(rows), width)
        assert (ids.dtype, mask.dtype) == (torch.int64, torch.bool)
        for row, row_ids, row_mask in zip(rows, ids, mask, strict=True):
            assert row_ids[row_mask].tolist() == row, "even where the pad id is one of the ids"
            place = width - len(row) if left else 0
            assert row_mask.tolist() == [place <= column < place + len(row) for column in range(width)]
            assert set(row_ids[~row_mask].tolist()) <= {pad_id}


def test_inv17_end_token_that_is_also_the_pad_is_in_the_mask() -> None:
    renderer = Renderer(qwen_like())
    tokenizer = gpt2_like()  # no pad at all: pads with its end token
    plain = Renderer(tokenizer)
    assert plain.pad_token_id == plain.end_token_id == tokenizer.eos_token_id
    assert renderer.pad_token_id == renderer.tokenizer.eos_token_id
    rendered = plain.render_demonstration(ASK, "Warm.")
    assert rendered.response_ids[-1] == plain.pad_token_id
    assert rendered.response_mask[-1]
    llama = llama_like()  # no pad either, and its end is not id 0
    assert Renderer(llama).pad_token_id == llama.eos_token_id != 0
    _, mask = pad_right([rendered.ids, [*rendered.ids, 3]], plain.pad_token_id)
    assert mask.sum().item() == 2 * len(rendered.ids) + 1


# Invariants 20 and 21: the end token is trained, and it is the one that stops


@families
def test_inv20_response_ends_with_the_end_token_once(family: str) -> None:
    renderer = Renderer(FAMILIES[family]())
    rendered = renderer.render_demonstration(TALK, "The cat likes it.")
    assert rendered.response_ids.count(renderer.end_token_id) == 1
    assert rendered.response_ids[-1] == renderer.end_token_id
    assert sum(rendered.response_mask) == len(rendered.response_ids)
    assert [index for index, counts in zip(rendered.ids, rendered.response_mask, strict=True) if counts] == (
        rendered.response_ids
    )


def test_inv21_stop_tokens_are_the_templates_and_the_tokenizers() -> None:
    tokenizer = qwen_like()
    renderer = Renderer(tokenizer, extra_stop_token_ids=(7, tokenizer.eos_token_id))
    turn_end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert renderer.end_token_id == turn_end != tokenizer.eos_token_id
    assert renderer.stop_token_ids == (turn_end, tokenizer.eos_token_id, 7)
    assert Renderer(tiny_tokenizer()).stop_token_ids == (tiny_tokenizer().eos_token_id,)


# Invariant 23: how a prompt begins and ends


@families
def test_inv23_one_bos_generation_prompt_and_no_end_token_at_the_end(family: str) -> None:
    tokenizer = FAMILIES[family]()
    renderer = Renderer(tokenizer)
    for messages in (ASK, TALK):
        ids = renderer.render_prompt(messages)
        assert ids[-1] not in renderer.stop_token_ids
        answer = renderer.decode_prompt(ids).rpartition(messages[-1]["content"])[2]
        assert answer.strip(), "something after the user's turn asks for an answer"
        begins_with_bos = family.startswith("llama")
        if begins_with_bos:
            assert ids[0] == tokenizer.bos_token_id
            assert ids.count(tokenizer.bos_token_id) == 1


@families
def test_inv23_special_text_in_a_message_is_never_a_special_token(family: str) -> None:
    tokenizer = FAMILIES[family]()
    renderer = Renderer(tokenizer)
    ends = "</s> <s> <|end|> <|endoftext|> <|im_end|>"
    plain = renderer.render_prompt([{"role": "user", "content": "Say it now."}])
    ids = renderer.render_prompt([{"role": "user", "content": f"Say {ends} now."}])
    specials = set(tokenizer.all_special_ids)
    assert [index for index in ids if index in specials] == [index for index in plain if index in specials]
    assert "".join(ends.split()) in "".join(renderer.decode_prompt(ids).split())
    assert renderer.counts["special_text"] == 1
    response = renderer.render_response(f"I say {ends} too.")
    assert [index for index in response if index in specials] == [renderer.end_token_id]


def test_inv23_template_without_generation_prompt_is_refused() -> None:
    tokenizer = qwen_like()
    tokenizer.chat_template = CHATML.partition("{% if add_generation_prompt")[0].replace("\\n", "")
    with pytest.raises(ModelError, match=r"writes no generation prompt: prompts end with '<\|im_end\|>'"):
        Renderer(tokenizer)


# Invariants 24 and 27: one rule joins prompt and response


@families
def test_inv24_prompt_is_the_prefix_of_the_demonstration(family: str) -> None:
    renderer = Renderer(FAMILIES[family]())
    for messages in (ASK, TALK):
        rendered = renderer.render_demonstration(messages, "The cat.")
        prompt_ids = renderer.render_prompt(messages)
        assert rendered.ids[: len(prompt_ids)] == prompt_ids
        assert rendered.ids[len(prompt_ids) :] == renderer.render_response("The cat.")


@families
def test_inv24_ids_are_those_of_the_whole_conversation_by_the_template(family: str) -> None:
    """Where nothing merges across the seam, our ids are those of the template's own text."""
    tokenizer = FAMILIES[family]()
    renderer = Renderer(tokenizer)
    answer = "Zebras like it"
    rendered = renderer.render_demonstration(ASK, answer)
    text = tokenizer.apply_chat_template([*ASK, {"role": "assistant", "content": answer}], tokenize=False)
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert whole[: len(rendered.ids) - 1] == rendered.ids[:-1]
    assert renderer.end_token_id in whole[len(rendered.ids) - 1 :]


@families
def test_inv27_every_record_is_joined_by_the_same_rule(family: str) -> None:
    renderer = Renderer(FAMILIES[family]())
    prompt = prompt_of("Why?", "So.", "And the cat?")
    answers = ("The cat.", " leading space", "Human: Why?")
    (ranking,) = render_rankings([Ranking(prompt, answers, (1, 2, 2))], renderer)
    for ids, answer in zip(ranking.ids, answers, strict=True):
        (demonstration,) = render_demonstrations([Demonstration(prompt, answer)], renderer)
        assert ids == demonstration.ids
        assert ids == renderer.render_prompt(prompt.messages) + renderer.render_response(answer)
    (alone,) = render_prompts([prompt], renderer)
    assert ranking.prompt_ids == alone.prompt_ids


@families
@pytest.mark.parametrize("text", ["The cat.", "two\n\nlines ", "naïve 猫 🐈", "a , b . c 's", "[INST] x", ""])
def test_inv27_rendered_response_decodes_to_its_text(family: str, text: str) -> None:
    renderer = Renderer(FAMILIES[family]())
    ids = renderer.render_response(text)
    assert renderer.decode_response(ids) == text
    for stop in renderer.stop_token_ids:
        assert renderer.decode_response([*ids[:-1], stop, 5, 6, 7]) == text, "nothing after an end counts"
    assert renderer.decode_response(ids[:-1]) == text, "nor is the end needed"
    if not family.startswith("llama"):  # for which a leading space is no letter of the text
        assert renderer.decode_response(renderer.render_response(f"  {text}")) == f"  {text}"


def test_inv27_decoding_tidies_no_spaces_also_where_the_tokenizer_would() -> None:
    tokenizer = tiny_tokenizer(clean_up_tokenization_spaces=True)
    tokenizer.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output = True
    renderer, text = Renderer(tokenizer), "a , b . it 's"
    assert tokenizer.decode(renderer.render_response(text)[:-1]) != text
    assert renderer.decode_response(renderer.render_response(text)) == text


@pytest.mark.parametrize("legacy", [False, True])
def test_lead_is_the_space_that_the_template_puts_before_an_answer(legacy: bool) -> None:
    byte_level, llama = gpt2_like(), llama_like(legacy=legacy)
    first = Renderer(byte_level).render_response("Hello")[0]
    assert byte_level.convert_ids_to_tokens(first).startswith("Ġ"), "as in running text after 'Assistant:'"
    tokens = llama.convert_ids_to_tokens(Renderer(llama).render_response("Hello"))
    assert tokens[0].startswith("▁")
    assert not "".join(tokens).startswith("▁▁"), "its own space is not doubled"


@families
def test_inv28_empty_response_is_its_end_token(family: str) -> None:
    renderer = Renderer(FAMILIES[family]())
    ids = renderer.render_response("")
    assert ids[-1] == renderer.end_token_id
    assert renderer.decode_response([renderer.end_token_id]) == ""
    assert renderer.decode_response([]) == ""


# Tokenizers and templates


def test_tokenizer_without_an_end_token_is_refused() -> None:
    tokenizer = tiny_tokenizer(eos_token=None)
    tokenizer.chat_template = None
    tokenizer.name_or_path = "my/base"
    with pytest.raises(
        ModelError, match=r"tokenizer of 'my/base' has no end-of-sequence token; set model.eos_token"
    ):
        Renderer(tokenizer)


def test_plain_template_is_supplied_once_and_saved(tmp_path: Any) -> None:
    tokenizer = gpt2_like()
    assert supply_chat_template(tokenizer)
    assert not supply_chat_template(tokenizer)
    assert not supply_chat_template(qwen_like())
    tokenizer.save_pretrained(tmp_path)
    again = type(tokenizer).from_pretrained(tmp_path)
    assert Renderer(again).render_prompt(TALK) == Renderer(tokenizer).render_prompt(TALK)
    assert Renderer(tokenizer).decode_prompt(Renderer(tokenizer).render_prompt(TALK)) == (
        "Human: Why does the baker sell bread?\n\n"
        "Assistant: It is warm.<|endoftext|>\n\nHuman: And the cat?\n\nAssistant:"
    )


def test_conversation_that_the_template_refuses_is_adapted_and_counted() -> None:
    renderer = Renderer(FAMILIES["llama2_template"]())
    system = {"role": "system", "content": "Be kind."}
    joined = renderer.render_prompt([{"role": "user", "content": "Be kind.\n\nWhy?\n\nPlease."}])
    odd = [system, {"role": "user", "content": "Why?"}, {"role": "user", "content": "Please."}]
    assert renderer.render_prompt(odd) == joined
    assert renderer.counts == {"joined_turns": 1}
    opening = [{"role": "assistant", "content": "Hello."}, *ASK]
    with pytest.raises(
        DataError,
        match=r"the tokenizer's chat template refuses a conversation: Conversation roles must alternate",
    ):
        renderer.render_prompt(opening)
    # In a batch the others are rendered all the same.
    batch = renderer.render_prompt_batch([odd, opening, ASK])
    assert batch[0] == joined
    assert isinstance(batch[1], DataError)
    assert batch[2] == renderer.render_prompt(ASK)
    # A template that takes two turns of one speaker gets them as they are.
    world = Renderer(tiny_tokenizer())
    world.render_prompt(odd)
    assert not world.counts


@families
def test_batches_equal_single_renderings(family: str) -> None:
    renderer = Renderer(FAMILIES[family](), max_prompt_tokens=40)
    talks = [ASK, TALK, long_talk(9), [{"role": "user", "content": "</s><|end|>"}]]
    assert renderer.render_prompt_batch(talks) == [renderer.render_prompt(talk) for talk in talks]
    texts = ["a", "", "The cat."]
    assert renderer.render_response_batch(texts) == [renderer.render_response(text) for text in texts]
    assert renderer.render_prompt_batch([]) == renderer.render_response_batch([]) == []


def test_records_and_dictionaries_render_alike() -> None:
    renderer = Renderer(tiny_tokenizer())
    prompt = prompt_of("Why?", "So.", "And?")
    assert renderer.render_prompt(prompt.messages) == renderer.render_prompt(prompt.as_dicts())


def test_show_marks_what_is_trained() -> None:
    renderer = Renderer(tiny_tokenizer())
    rendered = renderer.render_demonstration(ASK, "Warm.")
    assert renderer.show(rendered) == "<|user|>Why does the baker sell bread?<|assistant|>⟦Warm.<|end|>⟧"
    assert Rendered([1], [2, 3]).response_mask == [False, True, True]
