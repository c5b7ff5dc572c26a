"""PPO-ptx: rows of text, their order, their loss and its gradient."""

from __future__ import annotations

import math
from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from rlhf.errors import DataError, SettingsError
from rlhf.feedback.records import Demonstration, Message, Prompt
from rlhf.ppo.batching import PromptOrder, own_rows
from rlhf.ppo.ptx import PtxText, TextRow, cut_texts, demonstration_rows, ptx_loss, stack_rows, text_loss
from rlhf.pretraining import block_loss, pack
from rlhf.rendering import Renderer, encode_documents, render_demonstrations
from tests.helpers import tiny_gpt2, tiny_tokenizer
from tests.launching import launch
from tests.ppo.texts import forward_of, uneven_rows
from tests.ppo.tiny import weights
from tests.ppo.two_processes_ptx import main
from tests.tokenizers import FAMILIES, llama_like

TEXTS = [f"The baker number {n} lives near the river and sells {n % 7} warm breads." for n in range(40)]


def ptx_text(rows, **changes):
    options = {"coef": 1.0, "batch_size": 8, "microbatch_size": 2, "seed": 1, "pad_token_id": 0}
    return PtxText(rows, **{**options, **changes})


def gradients(model, loss):
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return [torch.zeros(1) if gradient is None else gradient for gradient in found]


def step_gradients(model, text, step=0):
    batch = text.batch(step)
    shares = [ptx_loss(forward_of(model), part, batch.num_tokens) for part in batch.microbatches]
    return gradients(model, torch.stack(shares).sum())


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
    assert [list(row.ids) for row in rows[: len(blocks)]] == blocks.tolist()


def test_no_token_is_left_alone_in_the_last_row(tokenizer):
    stream = list(encode_documents(TEXTS[:1], tokenizer))
    last = cut_texts(TEXTS[:1], tokenizer, len(stream) - 1)[-1]
    assert (list(last.ids), last.num_predicted) == (stream[-2:], 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_markers_inside_a_text_are_text(family):
    tokenizer = FAMILIES[family]()
    texts = [f"a {name} b" for name in (*tokenizer.all_special_tokens, "<|user|>")]
    ids = list(encode_documents(texts, tokenizer))
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
    assert list(encode_documents(texts, tokenizer)) == [bos, *plain[0], eos, bos, *plain[1], eos]


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


# --- loss


def naive_loss(model, rows):
    """One row at a time without padding, one token at a time."""
    total, count = torch.zeros(()), 0
    for row in rows:
        logits = model(input_ids=torch.tensor([list(row.ids)])).logits[0]
        for place in range(row.num_given, len(row.ids)):
            total = total - logits[place - 1].log_softmax(-1)[row.ids[place]]
            count += 1
    return total / count


def test_inv60_the_loss_is_the_mean_over_predicted_tokens_and_its_gradient_that_of_a_naive_loop(policy):
    rows = uneven_rows(8)
    text = ptx_text(rows)
    batch = text.batch(0)
    loss = sum(ptx_loss(forward_of(policy), part, batch.num_tokens) for part in batch.microbatches)
    expected = naive_loss(policy, rows)  # eight rows are one batch
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)
    pairs = zip(step_gradients(policy, text), gradients(policy, expected), strict=True)
    for ours, slow in pairs:
        torch.testing.assert_close(ours, slow, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("microbatch_size", "num_processes"), [(1, 1), (4, 1), (8, 1), (2, 2), (1, 4)])
def test_inv54_gradient_does_not_depend_on_the_cut_of_the_batch(policy, microbatch_size, num_processes):
    rows = uneven_rows(12)
    expected = step_gradients(policy, ptx_text(rows), step=1)
    options = {"microbatch_size": microbatch_size, "num_processes": num_processes}
    shares = [
        step_gradients(policy, ptx_text(rows, process_index=index, **options), step=1)
        for index in range(num_processes)
    ]
    for whole, *parts in zip(expected, *shares, strict=True):
        torch.testing.assert_close(sum(parts), whole, atol=1e-6, rtol=1e-4)


def test_inv17_inv60_the_pad_id_may_be_any_even_the_end_token(policy, tokenizer):
    rows = [TextRow([*row.ids, tokenizer.eos_token_id], row.num_given) for row in uneven_rows(8)]
    found = [
        step_gradients(policy, ptx_text(rows, microbatch_size=8, pad_token_id=pad))
        for pad in (tokenizer.pad_token_id, tokenizer.eos_token_id, 77)
    ]
    for one, same, other in zip(*found, strict=True):
        assert torch.equal(one, same)
        assert torch.equal(one, other)


def test_inv30_what_the_model_says_at_padding_and_given_tokens_never_counts():
    part = stack_rows([TextRow([5, 6, 7, 8], 3), TextRow([5, 6], 1)], 0)
    logits = torch.randn(2, 4, 10, requires_grad=True)
    spoilt = logits.detach().clone()
    counted = part.predicted.roll(-1, dims=1)  # the place before a predicted token predicts it
    spoilt[~counted] = math.nan
    losses = [ptx_loss(lambda ids, mask, now=now: now[:, :-1], part, 2) for now in (logits, spoilt)]
    assert losses[0] == losses[1]
    (gradient,) = torch.autograd.grad(losses[0], logits)
    assert bool((gradient[~counted] == 0).all())
    assert bool((gradient[counted] != 0).any(-1).all())


def test_learning_from_text_lowers_its_loss_on_other_text(policy, tokenizer):
    text = ptx_text(cut_texts(TEXTS[:30], tokenizer, 32), microbatch_size=8)
    held_out = cut_texts(TEXTS[30:], tokenizer, 32)
    measure = lambda: text_loss(forward_of(policy), held_out, batch_size=4, pad_token_id=0).loss  # noqa: E731
    before = measure()
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    for step in range(15):
        for parameter, gradient in zip(policy.parameters(), step_gradients(policy, text, step), strict=True):
            parameter.grad = gradient
        optimizer.step()
    assert before == pytest.approx(math.log(400), abs=0.2)
    assert measure() < before - 1.0


# --- held-out loss


def test_text_loss_by_hand():
    """Two words at odds 1 to 3 wherever one looks: log 4 for the first, log 4/3 for the second."""
    table = torch.tensor([0.0, math.log(3)])
    forward = lambda ids, mask: table.expand(ids.shape[0], ids.shape[1] - 1, 2)  # noqa: E731
    rows = [TextRow([0, 0, 1], 1), TextRow([1, 1], 1), TextRow([0, 0, 0, 1, 1], 4)]
    found = text_loss(forward, rows, batch_size=2, pad_token_id=0)
    assert found.num_tokens == 4  # of which one is the first word
    assert found.loss == pytest.approx((math.log(4) + 3 * math.log(4 / 3)) / 4)


def test_text_loss_is_that_of_pretraining_and_takes_no_gradient(policy, tokenizer):
    rows = cut_texts(TEXTS, tokenizer, 16)
    blocks = pack(TEXTS, tokenizer, 16).blocks
    found = text_loss(forward_of(policy), rows[: len(blocks)], batch_size=5, pad_token_id=0)
    assert found.loss == pytest.approx(block_loss(policy, blocks, 7), abs=1e-5)
    assert found.num_tokens == 15 * len(blocks)
    assert all(parameter.grad is None for parameter in policy.parameters())


@pytest.mark.parametrize("num_processes", [2, 4])
def test_text_loss_is_the_same_however_the_rows_are_shared_out(policy, num_processes):
    """Three rows: of four processes one has none."""
    rows = uneven_rows(3)
    options = {"batch_size": 2, "pad_token_id": 0}
    expected = text_loss(forward_of(policy), rows, **options)
    assert expected.loss == pytest.approx(naive_loss(policy, rows).item(), abs=1e-5)
    sums: list[torch.Tensor] = []

    def others(tensor):
        sums.append(tensor)
        return torch.stack(sums).sum(0)

    for index in range(num_processes):
        mine = [rows[row] for row in own_rows(3, index, num_processes)]
        found = text_loss(forward_of(policy), mine, reduce=others, **options)
    assert found.loss == pytest.approx(expected.loss, abs=1e-6)
    assert found.num_tokens == expected.num_tokens


# --- mistakes


def test_inv69_fewer_rows_than_a_batch_is_an_error_and_no_hang():
    with pytest.raises(
        DataError, match=r"ptx.batch_size: 7 rows of text are fewer than one batch of 8; add text"
    ):
        ptx_text(uneven_rows(7))


def test_sizes_divide_or_are_refused():
    rows = uneven_rows(8)
    with pytest.raises(
        SettingsError, match=r"ptx.batch_size / number of processes: 8 is not a multiple of 3"
    ):
        ptx_text(rows, num_processes=3)
    with pytest.raises(SettingsError, match=r"ppo.microbatch_size: 8 is not a multiple of 3"):
        ptx_text(rows, microbatch_size=3)


def test_no_text_is_an_error(tokenizer):
    with pytest.raises(DataError, match="1 documents make 1 tokens; there is no text to learn from"):
        cut_texts([""], tokenizer, 16)


# --- two real processes


@pytest.mark.slow
def test_inv54_inv68_two_processes_learn_and_measure_what_one_does(tmp_path):
    main(tmp_path)
    one = torch.load(tmp_path / "left_0.pt", weights_only=True)
    first, second = launch("tests.ppo.two_processes_ptx", tmp_path / "two", 2)
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name
        torch.testing.assert_close(value, one["weights"][name], atol=1e-5, rtol=0)
    start = weights(tiny_gpt2(tiny_tokenizer()))
    assert max(float((start[name] - value).abs().max()) for name, value in one["weights"].items()) > 1e-3
    assert first["loss"] == second["loss"] == pytest.approx(one["loss"], abs=1e-5)
    assert first["num_tokens"] == one["num_tokens"]
    assert one["refused"] == ""
    assert first["refused"] == second["refused"]
    assert first["refused"].startswith("ptx: processes read different texts; a generator has to draw")
