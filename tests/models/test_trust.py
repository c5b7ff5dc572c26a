"""What a model's folder may run: nothing, unless the user says so."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf.errors import ModelError
from rlhf.models import LoraSpec, add_lora, load_policy, load_reward_model
from rlhf.models.loading import build_reward_model, load_tokenizer
from rlhf.models.reading import weights_options
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


@pytest.mark.parametrize("content", [b"<html>404</html>", None])
def test_pickled_weights_that_are_damaged_are_one_message(tmp_path: Path, content: bytes | None) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_gpt2(tokenizer)
    save_model(model, tokenizer, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    file = tmp_path / "pytorch_model.bin"
    torch.save(model.state_dict(), file)
    file.write_bytes(content or file.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r"its weights are not what torch writes, or not all of it; copy"):
        load_policy(str(tmp_path), trust_remote_code=True)


def test_a_quantised_model_without_its_library_is_one_message(tmp_path: Path) -> None:
    """bitsandbytes is no dependency: its 4-bit models are loaded where it is installed."""
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"cannot load a language model .*bitsandbytes"):
        load_policy(str(tmp_path))


def test_weights_from_the_hub_are_safetensors_of_the_revision_and_run_no_code_unless_trusted() -> None:
    plain = {"revision": "v2", "trust_remote_code": False, "use_safetensors": True}
    assert weights_options("owner/name", "v2", False, "model.path") == plain
    trusted = weights_options("owner/name", "v2", True, "model.path")
    assert trusted == {"revision": "v2", "trust_remote_code": True}


# What an untrusted folder brings; it notes that it was run.
CODE = """
from pathlib import Path
from transformers import AutoConfig, GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedTokenizerFast
with Path({note!r}).open("a") as file:
    file.write("{name} ")
class Config(GPT2Config): pass
class Policy(GPT2LMHeadModel): config_class = Config
class Judge(GPT2ForSequenceClassification): config_class = Config
class Tokens(PreTrainedTokenizerFast): pass
"""


def with_code(folder: Path, what: str, *, scores: bool = False) -> tuple[str, Path]:
    """Write a model whose files name code of its own for `what`; returns where it is, and where the code notes."""
    tokenizer = tiny_tokenizer()
    save_model(tiny_reward_model(tokenizer) if scores else tiny_gpt2(tokenizer), tokenizer, folder)
    models = {"AutoModelForCausalLM": "mine.Policy", "AutoModelForSequenceClassification": "mine.Judge"}
    classes: dict[str, Any] = {
        "config": {"AutoConfig": "mine.Config", **models},
        "model": models,
        "tokenizer": {"AutoTokenizer": [None, "mine.Tokens"]},
    }
    file = folder / ("tokenizer_config.json" if what == "tokenizer" else "config.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "auto_map": classes[what]}))
    note = folder / "ran"
    (folder / "mine.py").write_text(CODE.format(note=str(note), name=what))
    return str(folder), note


@pytest.mark.parametrize(
    ("load", "what"),
    [
        (load_tokenizer, "tokenizer"),
        (load_policy, "config"),
        (load_policy, "model"),
        (build_reward_model, "config"),
        (build_reward_model, "model"),
        (load_reward_model, "config"),
        (load_reward_model, "model"),
    ],
)
def test_code_of_a_folder_runs_only_where_its_maker_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Callable[..., object], what: str
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    path, note = with_code(tmp_path / "model", what, scores=load is load_reward_model)
    load(path, trust_remote_code=False)
    assert not note.exists()
    load(path, trust_remote_code=True)
    assert what in note.read_text()


def test_a_model_of_its_own_code_says_how_to_trust_it(tmp_path: Path) -> None:
    path, note = with_code(tmp_path / "model", "config")
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "model_type": "mine"}))
    with pytest.raises(
        ModelError, match=r"needs Python code .* or set model\.trust_remote_code=true if you trust"
    ):
        load_policy(path)
    assert not note.exists()


class Evil:
    """What pickle makes of it runs a command."""

    def __init__(self, note: Path) -> None:
        self.note = note

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.note),)


def test_pickled_adapters_are_read_only_where_their_maker_is_trusted(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path / "base")
    adapted = add_lora(load_policy(str(tmp_path / "base")), LoraSpec(rank=2, alpha=4.0))
    save_model(adapted, tokenizer, tmp_path / "adapter", keep_adapter=True)
    folder, path = tmp_path / "adapter", str(tmp_path / "adapter")
    from safetensors.torch import load_file

    weights = load_file(folder / "adapter_model.safetensors")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no weights \(adapter_model\.safetensors\); copy the whole folder"):
        load_policy(path)
    torch.save(weights, folder / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"as adapter_model\.bin, .* set model\.trust_remote_code=true"):
        load_policy(path)
    load_policy(path, trust_remote_code=True)
    torch.save({"x": Evil(tmp_path / "ran")}, folder / "adapter_model.bin")
    for trusted in (False, True):  # torch reads no objects either way
        with pytest.raises(ModelError):
            load_policy(path, trust_remote_code=trusted)
    assert not (tmp_path / "ran").exists()
