"""What a model's folder may run: nothing, unless the user says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rlhf.errors import ModelError
from rlhf.models import load_policy, load_reward_model
from rlhf.models.loading import build_reward_model
from rlhf.models.saving import save_model
from tests.helpers import tiny_gpt2, tiny_reward_model, tiny_tokenizer


@pytest.mark.parametrize("load", [load_policy, build_reward_model, load_reward_model])
def test_pickled_weights_are_read_only_where_their_maker_is_trusted(
    tmp_path: Path, load: Callable[..., torch.nn.Module]
) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_reward_model(tokenizer) if load is load_reward_model else tiny_gpt2(tokenizer)
    save_model(model, tokenizer, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    message = r"holds its weights as pytorch_model\.bin, .* or set model\.trust_remote_code=true"
    with pytest.raises(ModelError, match=message):
        load(str(tmp_path), setting="model.path")
    with pytest.raises(ModelError, match=r"save them as safetensors$"):
        load(str(tmp_path), setting="critic.path")
    found = load(str(tmp_path), trust_remote_code=True).state_dict()["transformer.wte.weight"]
    assert torch.equal(found, model.state_dict()["transformer.wte.weight"])


def test_a_quantised_model_without_its_library_is_one_message(tmp_path: Path) -> None:
    """bitsandbytes is no dependency: its 4-bit models are loaded where it is installed."""
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"cannot load a language model .*bitsandbytes"):
        load_policy(str(tmp_path))
