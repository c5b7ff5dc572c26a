"""More tokens than embeddings is an error that says so, in every place; fewer is usual (see tests/families.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf.errors import RunError
from rlhf.feedback.records import Message, Prompt
from rlhf.models import load_tokenizer
from rlhf.models.saving import save_model
from rlhf.rendering import Renderer
from rlhf.rollout import build_generation
from rlhf.scoring import RewardModelScorer
from tests.families import SPARE, write_decoder
from tests.helpers import tiny_gpt2, tiny_reward_model, tiny_tokenizer
from tests.ppo_stage import lay_over
from tests.ppo_stage import main as run_ppo
from tests.stage_data import run_main
from tests.test_families import reward_words, sft_words
from tests.test_reward_stage import main as run_reward
from tests.test_sft_stage import main as run_sft

MESSAGE = "has 400 tokens, but the model has embeddings for 390; give the model its own tokenizer"


def write_short(folder: Path, make: Any = tiny_gpt2) -> str:
    tokenizer = tiny_tokenizer()
    save_model(make(tokenizer, vocab_size=390), tokenizer, folder, stop_token_ids=[tokenizer.eos_token_id])
    return str(folder)


@pytest.mark.parametrize("stage", ["sft", "reward", "policy", "scores"])
def test_more_tokens_than_embeddings_are_refused(
    tmp_path: Path, words: list[str], stage: str, capsys: Any
) -> None:
    if stage == "sft":
        status = run_main(run_sft, sft_words(tmp_path / "runs", write_short(tmp_path / "short")))
    elif stage == "reward":
        told = f"model.path={write_short(tmp_path / 'short')}"
        status = run_main(run_reward, [*reward_words(tmp_path / "runs"), told])
    elif stage == "policy":
        told = f"policy.path={write_short(tmp_path / 'short')}"
        status = run_main(run_ppo, lay_over(words, told, "critic.init_from=policy"))
    else:
        told = f"scores=[{{model: {write_short(tmp_path / 'short', tiny_reward_model)}}}]"
        status = run_main(run_ppo, lay_over(words, told, "critic.init_from=policy"))
    assert status == 2
    error = capsys.readouterr().err
    assert MESSAGE in error
    where = {"policy": "policy.path: ", "scores": "scores[0].model: "}.get(stage, "model.path: ")
    assert where in error or stage == "reward"


def test_a_critic_with_fewer_embeddings_than_the_policy_is_refused(
    tmp_path: Path, words: list[str], capsys: Any
) -> None:
    """The policy may sample an id that no token has, and the critic would fail on it in the middle of a run."""
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer, vocab_size=400 + SPARE), tokenizer, tmp_path / "wide", stop_token_ids=[1])
    assert run_main(run_ppo, lay_over(words, f"policy.path={tmp_path}/wide")) == 2
    assert (
        "the critic has embeddings for 400 tokens, and the policy can sample 408" in capsys.readouterr().err
    )


def test_a_reward_model_with_fewer_embeddings_than_the_policy_is_given_text(
    tmp_path: Path, words: list[str], capsys: Any
) -> None:
    """The sizes of a family are rounded up differently: an id without a token would end the run at any time."""
    tokenizer = tiny_tokenizer()
    wide = tiny_gpt2(tokenizer, vocab_size=400 + SPARE, tie_word_embeddings=False)
    with torch.no_grad():  # every response holds an id that no token has
        wide.transformer.ln_f.bias.fill_(1.0)
        wide.get_output_embeddings().weight[:400] = 0.0
        wide.get_output_embeddings().weight[400:] = 1.0
    save_model(wide, tokenizer, tmp_path / "wide", stop_token_ids=[1])
    told = (f"policy.path={tmp_path}/wide", "critic.init_from=policy", "ppo.num_updates=1")
    assert run_main(run_ppo, lay_over(words, *told)) == 0
    said = capsys.readouterr().out
    assert (
        "scores[0].model has embeddings for 400 tokens, and the policy can sample 408: it is given text"
        in said
    )
    told = (f"centring.policy.path={tmp_path}/wide", f"run.output={tmp_path}/second")
    assert run_main(run_reward, [*reward_words(tmp_path), *told]) == 0


def test_an_id_that_the_reward_model_has_no_embedding_for_is_one_message() -> None:
    """Ids go across where the tokenizers agree, and a policy's embedding may be larger than its tokenizer."""
    tokenizer = tiny_tokenizer()
    scorer = RewardModelScorer("rm", tiny_reward_model(tokenizer), None, 2)
    generation = build_generation([[5, 6]], [[403, 1]], [1], 0)
    with pytest.raises(RunError, match="has embeddings for 400 tokens, but the policy sampled the id 403"):
        scorer([Prompt("a", (Message("user", "Hi"),), "a", "f:1")], generation, [""])


def test_inv23_one_bos_in_what_every_family_is_trained_on(tmp_path: Path) -> None:
    """Whether the tokenizer adds it, the template writes it, or there is none."""
    counts = {}
    for name in ("llama", "qwen2", "gpt2", "bloom"):
        tokenizer = load_tokenizer(write_decoder(tmp_path / name, name))
        renderer = Renderer(tokenizer)
        bos, stops = tokenizer.bos_token_id, renderer.stop_token_ids
        prompt = renderer.render_prompt([{"role": "user", "content": "Why?"}])
        counts[name] = prompt.count(bos) if bos is not None and bos not in stops else None
    assert counts == {"llama": 1, "qwen2": None, "gpt2": None, "bloom": None}
