"""Which attention kernel runs is chosen by the context's length, and changes nothing but the time."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2LMHeadModel

from rlhf.models.attention import SHORT_CONTEXT, choose_attention
from tests.helpers import tiny_gpt2, tiny_tokenizer


def _gpt2(context_tokens: int) -> GPT2LMHeadModel:
    model = tiny_gpt2(tiny_tokenizer(), n_positions=context_tokens)
    model.set_attn_implementation("sdpa")
    return model


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU the fused kernel is kept")
@pytest.mark.parametrize(
    ("context_tokens", "kernel"), [(SHORT_CONTEXT, "eager"), (SHORT_CONTEXT + 1, "sdpa")]
)
def test_short_contexts_get_plain_attention_on_a_cpu(context_tokens: int, kernel: str) -> None:
    assert choose_attention(_gpt2(context_tokens)).config._attn_implementation == kernel


def test_the_function_is_the_same_with_padding() -> None:
    ids = torch.randint(1, 50, (3, 12), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, 7:] = 0
    with torch.no_grad():
        fused = _gpt2(64)(input_ids=ids, attention_mask=mask).logits
        plain = choose_attention(_gpt2(64))(input_ids=ids, attention_mask=mask).logits
    shown = mask.bool()
    torch.testing.assert_close(plain[shown], fused[shown], atol=1e-5, rtol=1e-5)
