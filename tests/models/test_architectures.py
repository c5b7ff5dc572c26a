"""What must hold for every decoder, not for GPT-2 alone: padding, cache and dropout over fifteen architectures.

They differ in all that matters here: learnt, rotary and ALiBi positions, sliding windows, memories that are no keys and
values, dropout as a module or as a number under any name.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
)

from rlhf import sampling
from rlhf.models import Critic, sequence_scores
from rlhf.models.inputs import disable_dropout, forward_inputs
from rlhf.rollout import Generation, generate, response_logprobs
from rlhf.sampling import NoiseSampler

SMALL = {
    "vocab_size": 100,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
LOCAL = {"attention_types": [[["global", "local"], 1]], "window_size": 5}
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": GPT,
    "gpt_bigcode": GPT,
    "gpt_neo": {**LOCAL, "num_layers": 2, "num_heads": 2},
    "gpt_neox": {},
    "opt": {"ffn_dim": 32, "word_embed_proj_dim": 16},
    "bloom": {"n_layer": 2, "n_head": 2},
    "mpt": {"d_model": 16, "n_heads": 2, "n_layers": 2, "max_seq_len": 64},
    "falcon": {"alibi": False, "ffn_hidden_size": 32},
    "llama": {},
    "qwen3": {"head_dim": 8},
    "mistral": {"sliding_window": 5},
    "gemma3_text": {"head_dim": 8, "sliding_window": 5},
    "starcoder2": {},
}
# Memories beside keys and values; none of these has a class with a score head.
HYBRIDS: dict[str, dict[str, Any]] = {
    "mamba": {"state_size": 4},
    "lfm2": {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
    "falcon_h1": {
        **dict.fromkeys(("mamba_d_head", "head_dim"), 8),
        **dict.fromkeys(("mamba_n_heads", "mamba_d_state", "mamba_chunk_size"), 4),
        "mamba_n_groups": 1,
        "mamba_d_ssm": 32,
    },
}
DROPOUTS = (
    "attention_dropout", "hidden_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout", "residual_dropout",
    "activation_dropout", "embedding_dropout", "embed_dropout", "layerdrop", "hidden_dropout_prob", "emb_pdrop",
)  # fmt: skip
SETTINGS = dict.fromkeys(DROPOUTS, 0.5)
PROMPTS = [[10, 11, 12], [20, 21, 22, 23, 24, 25], [30]]
architectures = pytest.mark.parametrize("name", [*MODELS, *HYBRIDS])


def config_of(name: str, **changes: Any) -> PreTrainedConfig:
    return AutoConfig.for_model(name, **{**SMALL, **(MODELS | HYBRIDS)[name], **changes})


def spread(model: Any) -> Any:
    """Random weights large enough that what is attended to shows in the result."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def policy_of(name: str, **changes: Any) -> Any:
    return spread(AutoModelForCausalLM.from_config(config_of(name, **changes)))


def behind_padding(ids: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    padded = torch.cat([torch.full((len(ids), width), 7), ids], dim=1)
    return padded, torch.arange(padded.shape[1]).expand(len(ids), -1) >= width


def sample(model: Any, prompts: list[list[int]] = PROMPTS, **changes: Any) -> Generation:
    options = {"stop_token_ids": [1], "pad_token_id": 0, "max_new_tokens": 20, "temperature": 1.0, "seed": 5}
    return generate(model, prompts, **{**options, **changes})


@architectures
def test_inv05_left_padding_changes_no_logit(name: str) -> None:
    model, ids = policy_of(name), torch.randint(3, 99, (2, 9))
    with torch.no_grad():
        bare = model(**forward_inputs(model, ids, torch.ones_like(ids)), use_cache=False).logits
        for width in (3, 17):
            padded = forward_inputs(model, *behind_padding(ids, width))
            found = model(**padded, use_cache=False).logits[:, width:]
            torch.testing.assert_close(found, bare, atol=1e-5, rtol=0)
    assert (bare[:, 1:] - bare[:, :-1]).abs().max() > 0.1, "or all would be equal"


@pytest.mark.parametrize("name", MODELS)
def test_inv05_inv40_left_padding_changes_no_value_and_no_score(name: str) -> None:
    config = config_of(name, num_labels=1)
    model = spread(AutoModelForSequenceClassification.from_config(config))
    critic, ids = Critic(model), torch.randint(3, 99, (2, 9))
    with torch.no_grad():
        bare, scores = (
            critic(ids, torch.ones_like(ids).bool()),
            sequence_scores(model, ids, torch.ones_like(ids)),
        )
        assert torch.equal(bare[:, -1], scores)
        for width in (3, 17):
            padded, mask = behind_padding(ids, width)
            torch.testing.assert_close(critic(padded, mask)[:, width:], bare, atol=1e-5, rtol=0)
            torch.testing.assert_close(sequence_scores(model, padded, mask), scores, atol=1e-5, rtol=0)
    assert (bare[:, 1:] - bare[:, :-1]).abs().max() > 0.01


@architectures
def test_inv06_what_is_sampled_from_with_the_cache_is_the_distribution_of_the_training_forward(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts of different lengths, 20 tokens: past the windows, and over the tokens at which rows may drop out."""
    drawn: list[torch.Tensor] = []

    class Recorder(NoiseSampler):
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            chosen = super().__call__(input_ids, scores)
            drawn.append(
                torch.log_softmax(scores.float(), -1).gather(1, chosen.argmax(1, keepdim=True))[:, 0]
            )
            return chosen

    monkeypatch.setattr(sampling, "NoiseSampler", Recorder)
    model = policy_of(name)
    generation = sample(model, stop_token_ids=[99_999])  # no row ends
    assert generation.response_mask.all()
    by_length = [2, 0, 1]  # as they are generated
    found = torch.stack(drawn, dim=1)[torch.tensor(by_length).argsort()]
    torch.testing.assert_close(found, response_logprobs(model, generation, 1.0), atol=1e-5, rtol=0)


@architectures
def test_inv07_rows_that_end_change_no_other(name: str) -> None:
    model, options = policy_of(name), {"stop_token_ids": range(1, 20)}
    together = sample(model, **options).responses()
    assert len({len(ids) for ids in together}) > 1
    for row, prompt in enumerate(PROMPTS):
        assert sample(model, [prompt], rows=[row], **options).responses() == [together[row]]


@pytest.mark.parametrize("name", [name for name in MODELS if name != "mpt"])  # its config takes no dropout
def test_inv63_without_dropout_train_mode_is_evaluation_mode(name: str) -> None:
    model, ids = policy_of(name, **SETTINGS), torch.randint(3, 99, (2, 9))
    inputs = forward_inputs(model, ids, torch.ones_like(ids))
    with torch.no_grad():
        expected = model(**inputs, use_cache=False).logits
        model.train()
        assert not torch.equal(model(**inputs, use_cache=False).logits, expected)
        disable_dropout(model)
        for _ in range(3):
            assert torch.equal(model(**inputs, use_cache=False).logits, expected)
