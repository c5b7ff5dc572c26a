"""Nothing but the logits and the temperature decides what is sampled (invariants 3 and 4)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, GPT2LMHeadModel

from rlhf import rollout, sampling
from rlhf.errors import SettingsError
from rlhf.rollout import Generation, generate
from rlhf.sampling import NoiseSampler
from rlhf.settings.layers import resolve_settings
from rlhf.settings.schema import known_keys
from stages._command import STAGES, load_schema

PROMPT, OTHERS = [10, 11, 12], list(range(100, 400))
# Those above the line bend or break our sampling unless they are hidden; the others only take part where
# transformers itself draws, or are laid over by what we ask for.
LEFTOVERS: dict[str, Any] = {
    "repetition_penalty": 1.9,
    "encoder_repetition_penalty": 1.9,
    "no_repeat_ngram_size": 1,
    "encoder_no_repeat_ngram_size": 1,
    "min_new_tokens": 4,
    "min_length": 8,
    "suppress_tokens": OTHERS,
    "begin_suppress_tokens": OTHERS,
    "bad_words_ids": [[number] for number in OTHERS],
    "sequence_bias": [[[number], -20.0] for number in OTHERS],
    "forced_eos_token_id": 5,
    "exponential_decay_length_penalty": (1, 9.0),
    "guidance_scale": 3.0,
    "stop_strings": ["e", "a", " "],
    "num_return_sequences": 2,
    # ------------------------------
    "top_k": 3,
    "top_p": 0.5,
    "min_p": 0.9,
    "typical_p": 0.2,
    "epsilon_cutoff": 0.9,
    "eta_cutoff": 0.9,
    "temperature": 0.3,
    "max_new_tokens": 2,
    "max_length": 4,
    "forced_bos_token_id": 5,
    "eos_token_id": list(range(2, 400)),
    "num_beams": 2,
    "use_cache": False,
}
HOSTILE = list(LEFTOVERS)[: list(LEFTOVERS).index("top_k")]
TRUNCATIONS = ("top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")


class Recorder(NoiseSampler):
    """Keep what the sampler is given, after every processor of transformers."""

    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.seen.append((input_ids.clone(), scores.clone()))
        return super().__call__(input_ids, scores)


@pytest.fixture(autouse=True)
def recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    Recorder.seen = []
    monkeypatch.setattr(sampling, "NoiseSampler", Recorder)


def sample(model: GPT2LMHeadModel, prompts: list[list[int]], **changes: Any) -> Generation:
    options = {"stop_token_ids": [1], "pad_token_id": 0, "max_new_tokens": 12, "temperature": 0.7, "seed": 5}
    return generate(model, prompts, **{**options, **changes})


def is_bent(model: GPT2LMHeadModel) -> bool:
    """Whether the scores that are sampled from are other than the model's logits."""
    sample(model, [PROMPT])
    for ids, scores in Recorder.seen:
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits[:, -1]
        if not torch.allclose(scores, logits, atol=1e-5, rtol=0):
            return True
    return False


@pytest.mark.parametrize("name", LEFTOVERS)
def test_inv04_no_leftover_changes_what_is_sampled_from(name: str, policy: GPT2LMHeadModel) -> None:
    policy.generation_config = GenerationConfig()
    expected = sample(policy, [PROMPT]).responses()
    Recorder.seen = []
    policy.generation_config = leftover = GenerationConfig(do_sample=True, **{name: LEFTOVERS[name]})
    assert not is_bent(policy)
    assert len(Recorder.seen) == len(expected[0])
    assert sample(policy, [PROMPT]).responses() == expected
    assert policy.generation_config is leftover, "what the model came with is saved with it"


@pytest.mark.parametrize("name", HOSTILE)
def test_these_leftovers_are_hostile(
    name: str, policy: GPT2LMHeadModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the test above could not fail."""

    def not_hidden(model: torch.nn.Module) -> AbstractContextManager[None]:
        return nullcontext()

    monkeypatch.setattr(rollout, "own_generation_config", not_hidden)
    policy.generation_config = GenerationConfig(do_sample=True, **{name: LEFTOVERS[name]})
    try:
        assert is_bent(policy)
    except ValueError:  # asks for what such a call cannot do
        assert name in ("stop_strings", "num_return_sequences")


@pytest.mark.parametrize("place", [1e-3, 0.5, 1 - 1e-3])
def test_inv03_every_token_is_sampled_by_exactly_its_share_of_the_unit_interval(
    policy: GPT2LMHeadModel, monkeypatch: pytest.MonkeyPatch, place: float
) -> None:
    """One row for each of 400 tokens, its number drawn near the lower edge, the middle and the upper edge."""
    with torch.no_grad():
        policy.lm_head.weight.mul_(8.0)  # so that shares differ
        logits = policy(input_ids=torch.tensor([PROMPT])).logits[0, -1]
    shares = torch.softmax(logits.double() / 0.7, 0)
    assert shares.max() > 10 * shares.min()
    noise = (shares.cumsum(0) - shares + place * shares)[:, None]
    monkeypatch.setattr(rollout, "sampling_noise", lambda seed, rows, num_tokens: noise)
    found = sample(policy, [PROMPT] * 400, max_new_tokens=1).response_ids[:, 0]
    assert found.tolist() == list(range(400))


@pytest.mark.parametrize("name", TRUNCATIONS)
def test_inv03_truncated_sampling_is_refused(name: str, policy: GPT2LMHeadModel) -> None:
    with pytest.raises(TypeError, match=name):
        sample(policy, [PROMPT], **{name: 0.5})


def test_inv03_no_stage_has_a_setting_that_truncates(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("{}")
    sections = [
        (stage, key.removesuffix("temperature"))
        for stage in STAGES
        for key in known_keys(load_schema(stage))
        if key.endswith("temperature")
    ]
    assert ("ppo", "sampling.") in sections
    assert ("reward", "centring.") in sections
    for stage, section in sections:
        for name in TRUNCATIONS:
            with pytest.raises(SettingsError, match=f"{section}{name} is not a setting"):
                resolve_settings(load_schema(stage), config, [f"{section}{name}=0.5"])
