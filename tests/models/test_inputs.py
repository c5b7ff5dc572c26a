from __future__ import annotations

import torch

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
