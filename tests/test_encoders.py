"""Encoders as reward models: another tokenizer, two texts, their own pooling; through the reward stage and PPO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from rlhf.errors import ModelError
from rlhf.models import load_critic, load_reward_model, load_tokenizer
from rlhf.models.encoders import is_encoder, note_separator
from rlhf.models.inputs import context_tokens
from rlhf.pairs import supply_pair_template
from rlhf.rendering import Renderer
from rlhf.runs.jsonl import read_jsonl
from rlhf.scoring import score_sequences
from stages._reading import build_reader
from tests.encoders import ANSWERS, ASK, ENCODERS, TALK, write_encoder
from tests.families import DECODERS, write_decoder
from tests.ppo_stage import lay_over
from tests.ppo_stage import main as run_ppo
from tests.stage_data import run_main, summary_of, write_base, write_jsonl
from tests.test_families import ppo_words, reward_words
from tests.test_reward_stage import main as run_reward


def plain_scores(folder: Path, messages: list[dict[str, str]]) -> torch.Tensor:
    """As somebody without this project scores: one pair at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    scores = []
    for answer in ANSWERS:
        inputs = tokenizer([asked], [answer], return_tensors="pt", split_special_tokens=True)
        with torch.no_grad():
            scores.append(model(**inputs).logits[0, 0])
    return torch.stack(scores)


def our_scores(folder: Path, messages: list[dict[str, str]]) -> torch.Tensor:
    """The same by what PPO uses, all in one batch."""
    model = load_reward_model(str(folder)).eval()
    tokenizer = load_tokenizer(str(folder), pairs=True)
    note_separator(model, tokenizer)
    renderer = Renderer(tokenizer, pairs=True)
    prompt = renderer.render_prompt(messages)
    return score_sequences(model, [prompt + renderer.render_response(answer) for answer in ANSWERS], 8)


@pytest.mark.parametrize("name", ENCODERS)
def test_inv41_inv74_reward_stage_and_ppo_with_an_encoder(tmp_path: Path, name: str, capsys: Any) -> None:
    root, encoder = tmp_path / "runs", write_encoder(tmp_path / "encoder", name)
    write_base(root / "sft")
    told = (f"model.path={encoder}", f"centring.policy.path={root}/sft")
    assert run_main(run_reward, [*reward_words(root), *told]) == 0
    assert "responses in one row would see each other" in capsys.readouterr().out
    folder = root / "reward"
    assert abs(summary_of(folder)["sft_score_mean"]) < 1e-3
    for messages in (ASK, TALK):
        plain, ours = plain_scores(folder, messages), our_scores(folder, messages)
        torch.testing.assert_close(ours, plain, atol=1e-6, rtol=0)
        assert plain.std() > 1e-4, "or the response would not be read"
    assert run_main(run_ppo, [*ppo_words(root), "critic.init_from=policy"]) == 0
    assert "is an encoder: it is given prompt and response as two texts" in capsys.readouterr().out
    assert summary_of(root / "ppo")["num_updates"] == 2
    rows = read_jsonl(root / "ppo" / "samples.jsonl")
    assert len({row["score"] for row in rows}) > 1


def test_inv26_the_positions_that_roberta_keeps_for_padding_are_no_context(tmp_path: Path) -> None:
    """160 positions, and its first token stands at the third: 158 tokens can be read, and one more is an error."""
    model = load_reward_model(write_encoder(tmp_path / "roberta", "roberta", trained=True)).eval()
    assert context_tokens(model) == 158
    assert torch.isfinite(score_sequences(model, [[0] + [50] * 157], 1)).all()
    with pytest.raises((IndexError, RuntimeError)):
        score_sequences(model, [[0] + [50] * 158], 1)
    bert = load_reward_model(write_encoder(tmp_path / "bert", "bert", trained=True))
    assert context_tokens(bert) == 160


def test_inv26_lengths_beyond_the_encoders_context_are_refused(tmp_path: Path, capsys: Any) -> None:
    encoder = write_encoder(tmp_path / "encoder", "bert", trained=True, max_position_embeddings=12)
    write_base(tmp_path / "runs" / "sft")
    told = (f"model.path={encoder}", f"centring.policy.path={tmp_path}/runs/sft")
    assert run_main(run_reward, [*reward_words(tmp_path / "runs"), *told]) == 2
    assert (
        "reward: max_prompt_tokens 64 and max_response_tokens 56 do not fit into the model's context of 12 tokens"
        in capsys.readouterr().err
    )


def test_a_long_prompt_that_comes_late_does_not_end_ppo(
    tmp_path: Path, words: list[str], capsys: Any
) -> None:
    """The encoder reads 60 tokens, and learnt to read prompts of 20: longer ones lose their oldest part."""
    encoder = write_encoder(
        tmp_path / "encoder", "bert", trained=True, max_position_embeddings=60, reward_max_prompt_tokens=20
    )
    rows = [{"prompt": "Say " + "a " * (40 if number == 9 else 2) + str(number)} for number in range(10)]
    told = (
        f"data.train=[{{path: {write_jsonl(tmp_path / 'late.jsonl', rows)}}}]",
        f"scores=[{{model: {encoder}}}]",
        "critic.init_from=policy",
        "ppo.num_updates=2",
        "sampling.max_prompt_tokens=100",
    )
    assert run_main(run_ppo, lay_over(words, *told)) == 0
    said = capsys.readouterr().out
    assert (
        f"data.train for {encoder}: prompts whose last turn lost its beginning "
        "(max_prompt_tokens or the context): 1" in said
    )


@pytest.mark.parametrize("name", ["bert", "deberta"])
def test_prompt_and_response_are_cut_to_what_an_encoder_reads(tmp_path: Path, name: str) -> None:
    model = load_reward_model(
        write_encoder(tmp_path / "encoder", name, trained=True, max_position_embeddings=60)
    )
    tokenizer = load_tokenizer(str(tmp_path / "encoder"), pairs=True)
    reader = build_reader(model, tokenizer, 20)
    assert (reader.max_prompt_tokens, reader.context_tokens) == (40, 60)
    ask = [{"role": "user", "content": "Say " + "apple " * 100 + "now"}]
    prompt, end = reader.render_prompt(ask), tokenizer.sep_token_id
    assert len(prompt) <= 40
    short = reader.render_scored(ask, "The cat.", ended=True)
    assert short == prompt + reader.render_response("The cat.")
    middle = reader.render_scored(ask, "cat " * 30, ended=True)
    assert len(middle) <= 60
    assert middle[-31:] == reader.render_response("cat " * 30)
    assert "cut_responses" not in reader.counts
    whole = reader.render_scored(ask, "cat " * 300, ended=False)
    assert (len(whole), whole[: len(prompt)], whole[-1]) == (60, prompt, end)
    assert reader.counts["cut_responses"] == 1
    assert torch.isfinite(score_sequences(model, [short, middle, whole], 2)).all()


def test_what_an_encoder_cannot_be_is_one_message(tmp_path: Path, words: list[str], capsys: Any) -> None:
    encoder = write_encoder(tmp_path / "encoder", "bert", trained=True)
    scores = f"scores=[{{model: {encoder}}}]"
    cases = [
        ((scores,), "critic.init_from: is reward, but", "set critic.init_from=policy"),
        ((f"critic.path={encoder}",), "critic.init_from: is reward, but", "set critic.init_from=policy"),
        ((scores, "critic.init_from=policy", f"policy.path={encoder}"), "policy.path: ", "is an encoder, which reads and does not write"),
        ((scores, "critic.init_from=policy", f"policy.path={write_encoder(tmp_path / 'gaps', 'bert')}"),
         "policy.path: ", "is an encoder, which reads and does not write"),
        ((scores, "critic.init_from=policy", f"reference={{path: {encoder}}}"), "reference.path: ", "is an encoder"),
    ]  # fmt: skip
    for more, where, message in cases:
        assert run_main(run_ppo, lay_over(words, *more)) == 2
        error = capsys.readouterr().err
        assert where in error
        assert message in error


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            (),
            "centring.policy: {path!r} is an encoder, which writes no responses to centre on; set centring.policy",
        ),
        (("centring=null", "model.eos_token=[SEP]"), "model.eos_token: {path!r} is an encoder"),
        (("centring=null", "lora={rank: 4, merge: false}"), "set lora.merge=true"),
    ],
)
def test_what_the_reward_stage_cannot_tell_an_encoder(
    tmp_path: Path, more: tuple[str, ...], message: str, capsys: Any
) -> None:
    path = write_encoder(tmp_path / "encoder", "bert")
    words = [word for word in reward_words(tmp_path / "runs") if not (more and word.startswith("centring."))]
    assert run_main(run_reward, [*words, f"model.path={path}", *more]) == 2
    assert message.replace("{path!r}", repr(path)) in capsys.readouterr().err
    assert not (tmp_path / "runs" / "reward").exists()


def test_adapters_of_an_encoder_are_merged_and_its_fresh_parts_trained(tmp_path: Path) -> None:
    for name in ("bert", "roberta"):
        root = tmp_path / name
        told = (f"model.path={write_encoder(tmp_path / f'{name}-mlm', name)}", "lora={rank: 4, alpha: 8.0}")
        words = [word for word in reward_words(root) if not word.startswith("centring.")]
        assert run_main(run_reward, [*words, *told, "centring=null"]) == 0
        torch.testing.assert_close(
            our_scores(root / "reward", ASK), plain_scores(root / "reward", ASK), atol=1e-6, rtol=0
        )


def test_inv81_the_head_is_in_float32_under_autocast_and_in_a_bfloat16_model(tmp_path: Path) -> None:
    for name in ("bert", "roberta"):
        path = write_encoder(tmp_path / name, name, trained=True)
        rows = [[2, 10 + number, 3, 20, 3] for number in range(30)]
        with torch.autocast("cpu", torch.bfloat16):
            scores = score_sequences(load_reward_model(path).eval(), rows, 30)
        assert (scores != scores.bfloat16().float()).any()
        model = load_reward_model(path, dtype="bfloat16").eval()
        scores = score_sequences(model, rows, 30)
        assert model.dtype == torch.bfloat16
        assert (scores != scores.bfloat16().float()).any()


def test_inv07_inv40_batch_and_padding_change_no_score(tmp_path: Path) -> None:
    for name in ENCODERS:
        model = load_reward_model(write_encoder(tmp_path / name, name, trained=True)).eval()
        note_separator(model, ENCODERS[name][2]())
        first, end = (2, 3) if name != "roberta" else (0, 2)
        rows = [[first, *range(10, 10 + number), end, 20, end] for number in (1, 5, 30)]
        alone = torch.cat([score_sequences(model, [row], 1) for row in rows])
        torch.testing.assert_close(score_sequences(model, rows, 3), alone, atol=1e-5, rtol=0)
        assert alone.std() > 1e-4


def test_inv38_a_decoder_is_centred_on_another_policy_with_its_own_tokenizer(tmp_path: Path) -> None:
    """A reward model that did not start from the policy: text goes across."""
    root = tmp_path / "runs"
    base, policy = write_decoder(tmp_path / "base", "qwen2"), write_base(root / "sft")
    assert (
        run_main(run_reward, [*reward_words(root), f"model.path={base}", f"centring.policy.path={policy}"])
        == 0
    )
    assert abs(summary_of(root / "reward")["sft_score_mean"]) < 1e-3


@pytest.mark.parametrize("name", ENCODERS)
def test_inv74_scores_are_the_logits_of_the_auto_class(tmp_path: Path, name: str) -> None:
    folder = Path(write_encoder(tmp_path / name, name, trained=True))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    supply_pair_template(tokenizer)
    tokenizer.save_pretrained(folder)
    for messages in (ASK, TALK):
        torch.testing.assert_close(
            our_scores(folder, messages), plain_scores(folder, messages), atol=1e-6, rtol=0
        )


def test_which_models_are_encoders() -> None:
    decoders = {
        name for name, (model_type, _, _) in DECODERS.items() if is_encoder(AutoConfig.for_model(model_type))
    }
    assert not decoders
    for model_type, _, _ in ENCODERS.values():
        assert is_encoder(AutoConfig.for_model(model_type))
    assert not is_encoder(AutoConfig.for_model("bart"))
    assert not is_encoder(AutoConfig.for_model("bert", is_decoder=True))


def test_inv67_no_critic_starts_from_an_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"reads whole texts; set critic\.init_from=policy"):
        load_critic(write_encoder(tmp_path / "bert", "bert", trained=True))
