"""Models whose weights' numbers stay on the disk: what a check opens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rlhf.errors import ModelError
from rlhf.models.adapters import LoraSpec, add_lora
from rlhf.models.folders import opens_unread
from rlhf.models.loading import build_reward_model, load_policy
from rlhf.models.saving import save_model
from tests.helpers import tiny_gpt2, tiny_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> str:
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path / "model")
    return str(tmp_path / "model")


def change_config(folder: str, **changes: object) -> None:
    file = Path(folder) / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("load", [load_policy, build_reward_model])
def test_a_model_is_opened_without_its_numbers_and_refused_as_with_them(
    folder: str, tmp_path: Path, load: Callable[..., torch.nn.Module]
) -> None:
    adapted = add_lora(load_policy(folder), LoraSpec(rank=2, alpha=4.0))
    save_model(adapted, tiny_tokenizer(), tmp_path / "sft", keep_adapter=True)
    for path in (folder, str(tmp_path / "sft")):
        whole, unread = load(path), load(path, weights=False)
        assert {value.device.type for value in unread.state_dict().values()} == {"meta"}
        sizes = {name: value.shape for name, value in whole.state_dict().items()}
        assert {name: value.shape for name, value in unread.state_dict().items()} == sizes
    change_config(folder, n_layer=4)
    for path in (folder, str(tmp_path / "sft")):
        with pytest.raises(ModelError, match=r"24 tensors are missing, e.g. transformer.h.2"):
            load(path, weights=False)
    (Path(folder) / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no file named model\.safetensors"):
        load(folder, weights=False)


def test_what_a_check_opens_is_in_folders_and_of_whole_numbers(folder: str, tmp_path: Path) -> None:
    adapted = add_lora(load_policy(folder), LoraSpec(rank=2, alpha=4.0))
    save_model(adapted, tiny_tokenizer(), tmp_path / "sft", keep_adapter=True)
    config = tmp_path / "sft" / "adapter_config.json"
    told = json.loads(config.read_text())
    assert opens_unread(folder)
    assert opens_unread(str(tmp_path / "sft"))
    config.write_text(json.dumps({**told, "base_model_name_or_path": "/gone/base"}))
    assert opens_unread(str(tmp_path / "sft"))  # its loader says that the base is gone
    config.write_text(json.dumps({**told, "base_model_name_or_path": "owner/name"}))
    assert not opens_unread(str(tmp_path / "sft"))
    assert not opens_unread("owner/name")
    change_config(folder, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    assert not opens_unread(folder)
