"""The three stages on tiny random encoder-decoders, each from a local folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, AutoTokenizer

from rlhf.feedback.records import Message, Prompt
from rlhf.models import load_policy, load_reward_model, load_tokenizer
from rlhf.models.encoders import note_separator
from rlhf.models.folders import holds_encoder, holds_encoder_decoder
from rlhf.models.saving import save_model
from rlhf.rendering import Renderer
from rlhf.rollout import respond, response_logprobs
from rlhf.scoring import score_sequences
from stages._inputs import build_renderer
from stages._limits import Limits
from tests.ppo_stage import main as run_ppo
from tests.seq2seq import ENCODER_DECODERS, write_seq2seq
from tests.stage_data import run_main, run_with_interrupt, summary_of, weights_of, write_base
from tests.test_families import ppo_words, reward_words, run_reward, run_sft, sft_words

PROMPTS = [Prompt(f"p{n}", (Message("user", f"Say bread {n}."),), f"g{n}", f"test:{n}", {}) for n in range(4)]
WRITES_RANKINGS = [name for name in ENCODER_DECODERS if name != "t5_bytes"]


@pytest.mark.parametrize("critic", ["policy", "trunk"])
@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_sft_and_ppo_leave_plain_models(tmp_path: Path, name: str, critic: str) -> None:
    root = tmp_path / "runs"
    base = write_seq2seq(tmp_path / "base", name)
    write_base(tmp_path / "gpt")
    assert run_main(run_sft, sft_words(root, base)) == 0
    assert summary_of(root / "sft")["validation_loss"] < summary_of(root / "sft")["validation_loss_before"]
    assert run_main(run_reward, [*reward_words(root), f"model.path={tmp_path}/gpt"]) == 0
    assert run_main(run_ppo, [*ppo_words(root), f"critic.init_from={critic}"]) == 0
    for stage in ("sft", "ppo"):
        is_what_everyone_loads(root / stage)
        assert "AutoModelForSeq2SeqLM" in (root / stage / "README.md").read_text()
    assert not torch.equal(*(weights_of(root / stage)["shared.weight" if name != "bart" else "model.shared.weight"]
                             for stage in ("sft", "ppo")))  # fmt: skip


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_every_family_loads_as_what_it_is(tmp_path: Path, name: str) -> None:
    """Of BART the library has a decoder alone too, which would load without a word."""
    base = write_seq2seq(tmp_path, name)
    model = load_policy(base)
    assert type(model) is type(AutoModelForSeq2SeqLM.from_pretrained(base))
    assert model.config.is_encoder_decoder
    assert holds_encoder_decoder(base)
    assert not holds_encoder(base)


def test_a_saved_model_opens_as_ours_does(tmp_path: Path) -> None:
    base = write_seq2seq(tmp_path / "base", "bart")
    model, tokenizer = load_policy(base), load_tokenizer(base)
    assert model.generation_config.forced_eos_token_id == 2  # BART's own habit
    renderer = build_renderer(tokenizer, model, Limits(64, 12))
    save_model(
        model, tokenizer, tmp_path / "saved", stop_token_ids=renderer.stop_token_ids, opening=renderer.opening
    )
    config = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "saved").generation_config
    assert (config.decoder_start_token_id, config.forced_bos_token_id, config.forced_eos_token_id) == (
        2,
        0,
        None,
    )


def is_what_everyone_loads(folder: Path) -> None:
    """The folder is the same model, with the same greedy responses, to those who use the library alone."""
    ours, tokenizer = load_policy(str(folder)).eval(), load_tokenizer(str(folder))
    plain, its_tokenizer = (
        AutoModelForSeq2SeqLM.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    renderer = build_renderer(tokenizer, ours, Limits(64, 12))
    generation = respond(ours, renderer, PROMPTS, max_new_tokens=12, temperature=0)
    expected = response_logprobs(ours, generation, 1.0)
    for row, prompt in enumerate(PROMPTS):
        text = its_tokenizer.apply_chat_template(
            prompt.as_dicts(), add_generation_prompt=True, tokenize=False
        )
        given = its_tokenizer(text, return_tensors="pt")
        assert given["input_ids"][0].tolist() == generation.prompts()[row]
        written = plain.generate(**given, max_new_tokens=12 + len(renderer.opening) - 1)[0]
        response = generation.responses()[row]
        assert written.tolist() == [*renderer.opening, *response]
        logits = plain(**given, decoder_input_ids=written[None, :-1]).logits[0, len(renderer.opening) - 1 :]
        found = logits.log_softmax(-1).gather(1, torch.tensor(response)[:, None])[:, 0]
        torch.testing.assert_close(found, expected[row, : len(response)], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", WRITES_RANKINGS)
@pytest.mark.parametrize("lora", ["null", "{rank: 4, merge: true}"])
def test_inv73_a_reward_model_goes_on_from_a_checkpoint_bitwise(tmp_path: Path, name: str, lora: str) -> None:
    """Its embeddings have several names inside what is trained."""
    base = write_seq2seq(
        tmp_path / "base", name, **({"max_position_embeddings": 160} if name == "bart" else {})
    )
    write_base(tmp_path / "runs" / "sft")
    words = [word for word in reward_words(tmp_path / "runs") if not word.startswith("checkpoint.")]
    words += [f"model.path={base}", f"lora={lora}", "checkpoint.every_updates=2", "checkpoint.keep=1"]
    words = [word for word in words if not word.startswith("run.output=")]
    assert run_main(run_reward, [*words, f"run.output={tmp_path}/a"]) == 0
    run_with_interrupt(run_reward, [*words, f"run.output={tmp_path}/b"])
    first, second = weights_of(tmp_path / "a"), weights_of(tmp_path / "b")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", WRITES_RANKINGS)
def test_a_reward_model_reads_two_texts_and_scores_as_the_auto_class_does(tmp_path: Path, name: str) -> None:
    root = tmp_path / "runs"
    base = write_seq2seq(
        tmp_path / "base", name, **({"max_position_embeddings": 160} if name == "bart" else {})
    )
    write_base(root / "sft")
    assert run_main(run_reward, [*reward_words(root), f"model.path={base}"]) == 0
    assert abs(summary_of(root / "reward")["sft_score_mean"]) < 1e-4
    model, tokenizer = (
        load_reward_model(str(root / "reward")).eval(),
        load_tokenizer(str(root / "reward"), pairs=True),
    )
    note_separator(model, tokenizer)
    renderer = Renderer(tokenizer, pairs=True, spells_specials=True)
    plain = AutoModelForSequenceClassification.from_pretrained(root / "reward").eval()
    ask, answers = (
        [{"role": "user", "content": "Say bread 7."}],
        ["The bread is here.", "", "No </s> cat <pad>, never, nowhere."],
    )
    ours = score_sequences(
        model, [renderer.render_prompt(ask) + renderer.render_response(text) for text in answers], 3
    )
    text = tokenizer.apply_chat_template(ask, add_generation_prompt=True, tokenize=False)
    found = plain(**tokenizer([text] * 2, answers[:2], padding=True, return_tensors="pt")).logits
    torch.testing.assert_close(ours[:2], found[:, 0], atol=1e-5, rtol=0)
    assert run_main(run_ppo, [*ppo_words(root), "critic.init_from=policy"]) == 0
