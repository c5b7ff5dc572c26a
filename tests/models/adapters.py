"""Folders with a tiny SFT model, an SFT adapter and reward adapters, as the stages leave them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rlhf.models.adapters import LoraSpec, add_lora
from rlhf.models.centring import norm_before_head, recentre
from rlhf.models.learner import last_logits
from rlhf.models.loading import build_reward_model, load_policy
from rlhf.models.saving import save_model
from tests.helpers import tiny_gpt2, tiny_tokenizer

SPEC = LoraSpec(rank=4, alpha=8.0)
IDS = torch.tensor([[9, 8, 7, 1, 0, 0], [5, 4, 3, 2, 6, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]]).bool()
LEFT = (IDS.flip(1), MASK.flip(1))  # padded on the left, as learners take them


def tiny_llama(seed: int = 0) -> LlamaForCausalLM:
    """No bias anywhere, rotary positions, an output layer of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=len(tiny_tokenizer()),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            bos_token_id=None,
            eos_token_id=1,
            pad_token_id=0,
        )
        return LlamaForCausalLM(config).eval()


def learnt(model: Any, seed: int) -> Any:
    """Give adapters something to say: they start at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name or "score.modules_to_save" in name:
                weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.3)
    return model.eval()


def write_sft(folder: Path, kind: str = "gpt2", **changes: Any) -> str:
    """A whole model."""
    tokenizer = tiny_tokenizer()
    model = tiny_gpt2(tokenizer, **changes) if kind == "gpt2" else tiny_llama()
    save_model(model, tokenizer, folder, stop_token_ids=[tokenizer.eos_token_id])
    return str(folder)


def write_sft_adapter(folder: Path, base: str, spec: LoraSpec = SPEC) -> str:
    """What `make sft` leaves with lora.merge=false."""
    model = learnt(add_lora(load_policy(base), spec), seed=5)
    save_model(model, tiny_tokenizer(), folder, keep_adapter=True)
    return str(folder)


def write_reward_adapter(folder: Path, base: str, seed: int = 1, shift: float = 0.7) -> str:
    """What `make reward` leaves with lora.merge=false."""
    model = build_reward_model(base)
    norm = norm_before_head(model)
    model = add_lora(model, SPEC, keep_trainable=("score",), keep_whole=(norm,) if norm is not None else ())
    recentre(learnt(model, seed), shift)
    save_model(model, tiny_tokenizer(), folder, keep_adapter=True)
    return str(folder)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return last_logits(model, *LEFT, num_last=3)


def digest(model: torch.nn.Module) -> str:
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode() + value.numpy().tobytes())
    return found.hexdigest()


def train_a_little(learner: torch.nn.Module, steps: int = 3) -> None:
    """Pull at everything that is trained."""
    trained = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.5)
    for _ in range(steps):
        found, values = learner(*LEFT, 3)
        (found.log_softmax(-1)[..., 7].mean() + values.square().mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
