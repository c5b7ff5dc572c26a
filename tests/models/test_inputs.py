from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rlhf.models import LoraSpec, add_lora
from rlhf.models.inputs import disable_dropout, forward_inputs, position_ids_from_mask
from tests.helpers import tiny_gpt2, tiny_tokenizer


def test_inv05_position_ids_count_real_tokens_only() -> None:
    mask = torch.tensor([[False, False, True, True], [True, True, True, False]])
    assert position_ids_from_mask(mask).tolist() == [[0, 0, 0, 1], [0, 1, 2, 2]]


def test_inv05_logits_do_not_depend_on_left_padding() -> None:
    model = tiny_gpt2(tiny_tokenizer())
    ids = torch.randint(5, 300, (2, 9))
    real = model(**forward_inputs(model, ids, torch.ones_like(ids))).logits
    for width in (3, 17):
        padded = torch.cat([torch.full((2, width), 7), ids], dim=1)
        mask = torch.arange(9 + width).expand(2, -1) >= width
        shifted = model(**forward_inputs(model, padded, mask)).logits[:, width:]
        torch.testing.assert_close(shifted, real, atol=1e-5, rtol=0)


def test_inv63_train_mode_is_eval_mode_without_dropout() -> None:
    model = tiny_gpt2(tiny_tokenizer(), attn_pdrop=0.5, resid_pdrop=0.5)
    ids = torch.randint(5, 300, (1, 9))
    reference = model.eval()(ids).logits
    assert not torch.equal(model.train()(ids).logits, reference)
    disable_dropout(model)
    assert torch.equal(model.train()(ids).logits, reference)
    assert torch.equal(model(ids).logits, model(ids).logits)


class Wrapper(torch.nn.Module):
    """What data-parallel training puts around a model: its forward names no argument."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *arguments: object, **options: object) -> object:
        return self.module(*arguments, **options)


@pytest.mark.parametrize("wrap", [Wrapper, lambda model: Wrapper(add_lora(model, LoraSpec(2, 4.0)))])
def test_inv05_positions_are_given_through_every_wrapper(wrap: type[Wrapper]) -> None:
    plain = tiny_gpt2(tiny_tokenizer())
    ids, mask = torch.tensor([[7, 7, 7, 20, 21]]), torch.tensor([[False, False, False, True, True]])
    expected = plain(**forward_inputs(plain, ids, mask)).logits
    wrapped = wrap(plain).eval()
    inputs = forward_inputs(wrapped, ids, mask)
    assert inputs["position_ids"].tolist() == [[0, 0, 0, 0, 1]]
    assert torch.equal(wrapped(**inputs).logits, expected)


def test_inv63_dropout_of_adapters_and_of_attention_that_holds_a_number_is_off_too() -> None:
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        attention_dropout=0.5,
    )
    ids = torch.randint(5, 300, (1, 9))
    for model in (
        LlamaForCausalLM(config),
        add_lora(tiny_gpt2(tiny_tokenizer(), resid_pdrop=0.0), LoraSpec(2, 4.0, dropout=0.5)),
    ):
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight)
        reference = model.eval()(ids).logits
        assert not torch.equal(model.train()(ids).logits, reference)
        disable_dropout(model)
        assert torch.equal(model.train()(ids).logits, reference)
