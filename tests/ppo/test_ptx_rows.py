"""PPO-ptx: rows of text, and their order."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from rlhf.feedback.records import Demonstration, Message, Prompt
from rlhf.ppo.batching import PromptOrder
from rlhf.ppo.ptx import PtxText, TextRow, cut_texts, demonstration_rows, stack_rows
from rlhf.pretraining.blocks import pack
from rlhf.rendering import Renderer, encode_stream, render_demonstrations
from tests.ppo.texts import uneven_rows
from tests.tokenizers import FAMILIES, llama_like

TEXTS = [f"The baker number {n} lives near the river and sells {n % 7} warm breads." for n in range(40)]


def ptx_text(rows, **changes):
    options = {"coef": 1.0, "batch_size": 8, "microbatch_size": 2, "seed": 1, "pad_token_id": 0}
    return PtxText(rows, **{**options, **changes})


def predicted_ids(parts):
    """What is predicted in some microbatches: one tuple of ids a row."""
    return [
        tuple(ids[kept].tolist())
        for part in parts
        for ids, kept in zip(part.ids, part.predicted, strict=True)
    ]


# --- rows


def test_texts_become_rows_of_one_stream_with_an_end_token_after_each_document(tokenizer):
    rows = cut_texts(TEXTS, tokenizer, 16)
    stream = list(chain.from_iterable(row.ids for row in rows))
    assert stream == [
        token for text in TEXTS for token in (*tokenizer(text)["input_ids"], tokenizer.eos_token_id)
    ]
    assert {len(row.ids) for row in rows[:-1]} == {16}
    assert 2 <= len(rows[-1].ids) <= 16
    assert {row.num_given for row in rows} == {1}
    part = stack_rows(rows[:2], 0)
    assert part.predicted.tolist() == [[False] + [True] * 15] * 2
    # the blocks that the base model learnt from, and what they leave over
    blocks = pack(TEXTS, tokenizer, 16).blocks
    assert [list(row.ids) for row in rows[: len(blocks)]] == list(map(list, blocks))


def test_no_token_is_left_alone_in_the_last_row(tokenizer):
    stream = list(chain(*encode_stream(TEXTS[:1], tokenizer, 9)))
    last = cut_texts(TEXTS[:1], tokenizer, len(stream) - 1)[-1]
    assert (list(last.ids), last.num_predicted) == (stream[-2:], 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_markers_inside_a_text_are_text(family):
    tokenizer = FAMILIES[family]()
    texts = [f"a {name} b" for name in (*tokenizer.all_special_tokens, "<|user|>")]
    ids = list(chain(*encode_stream(texts, tokenizer, 9)))
    special = {token for token in tokenizer.all_special_ids if token != tokenizer.unk_token_id}
    found = [token for token in ids if token in special]
    opening = [tokenizer.bos_token_id] if family.startswith("llama") else []
    assert found == [*opening, tokenizer.eos_token_id] * len(texts)
    assert ids[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("template", ["<s> $A", "<s> $A </s>"])
def test_inv23_a_document_opens_with_one_bos_where_the_tokenizer_writes_one(template):
    """And ends with one end token, also where the tokenizer would write that too."""
    tokenizer = llama_like()
    special = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("<s>", "</s>")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=special)
    bos, eos = (token for _, token in special)
    texts = ("Hello world.", "Question?")
    plain = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert list(chain(*encode_stream(texts, tokenizer, 9))) == [bos, *plain[0], eos, bos, *plain[1], eos]


def test_inv20_inv24_of_a_demonstration_the_response_and_its_end_token_are_predicted(tokenizer):
    renderer = Renderer(tokenizer)
    prompt = Prompt("p", (Message("user", "Who keeps <|end|> the key?"),), "g", "here:1", {})
    (row,) = demonstration_rows(render_demonstrations([Demonstration(prompt, "The baker.")], renderer))
    response_ids = [*tokenizer("The baker.")["input_ids"], tokenizer.eos_token_id]
    assert list(row.ids) == renderer.render_prompt(prompt.messages) + response_ids
    assert predicted_ids([stack_rows([row], 0)]) == [tuple(response_ids)]
    assert row.num_predicted == len(response_ids)


# --- order


def chosen(text, steps):
    """The predicted ids of the rows that a process takes in some steps."""
    return [sorted(predicted_ids(text.batch(step).microbatches)) for step in steps]


def test_every_row_comes_once_a_pass_in_an_order_of_the_seed_and_the_step_alone():
    rows = uneven_rows(24)
    text = ptx_text(rows)
    first, second = (sorted(chain.from_iterable(chosen(text, steps))) for steps in (range(3), range(3, 6)))
    assert first == second == sorted(tuple(row.ids[row.num_given :]) for row in rows)
    assert chosen(text, range(3)) != chosen(text, range(3, 6))
    assert chosen(ptx_text(rows, seed=2), [0]) != chosen(text, [0])


def test_inv73_the_number_of_the_step_is_all_that_the_order_needs():
    rows = uneven_rows(20)
    whole = ptx_text(rows)
    seen = chosen(whole, range(9))
    assert chosen(ptx_text(rows), [8, 3]) == [seen[8], seen[3]]


def test_the_order_has_nothing_in_common_with_that_of_the_prompts():
    rows = [TextRow([number, number]) for number in range(24)]
    taken = [number for (number,) in chain.from_iterable(chosen(ptx_text(rows), [0]))]
    assert taken != sorted(PromptOrder(24, 1, 8).take(0, 8))


@given(st.sampled_from([1, 2, 4]), st.integers(0, 6), st.sampled_from([1, 2, 3, 8]))
def test_inv54_inv69_processes_take_disjoint_rows_that_are_together_those_of_one(num_processes, step, size):
    rows = uneven_rows(19)
    whole = ptx_text(rows, microbatch_size=8).batch(step)
    size = size if 8 // num_processes % min(size, 8 // num_processes) == 0 else 1
    shares = [
        ptx_text(rows, microbatch_size=size, process_index=index, num_processes=num_processes).batch(step)
        for index in range(num_processes)
    ]
    together = [ids for share in shares for ids in predicted_ids(share.microbatches)]
    assert sorted(together) == sorted(predicted_ids(whole.microbatches))
    assert {share.num_tokens for share in shares} == {whole.num_tokens} == {sum(map(len, together))}
    assert len({len(share.microbatches) for share in shares}) == 1
    assert {len(part.ids) for share in shares for part in share.microbatches} == {
        min(size, 8 // num_processes)
    }
