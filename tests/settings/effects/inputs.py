"""The models and data that the baselines run on."""

from __future__ import annotations

from pathlib import Path

from rlhf.models.saving import save_model
from tests.evaluation.report.made_up import write_run
from tests.helpers import CHAT_TEMPLATE, tiny_gpt2, tiny_reward_model, tiny_tokenizer
from tests.models.adapters import write_reward_adapter
from tests.stage_data import JUDGE, demonstrations, rankings, write_jsonl

GENERATOR = """
def documents(seed):
    for number in range(seed, seed + 40):
        yield f"The cat number {number} sleeps near the door of the red house."


def riddles(seed):
    for number in range(seed, seed + 40):
        yield f"What has {number} keys and opens no door?"


def letters(seed):
    for number in range(seed, seed + 40):
        yield f"{chr(0xE0 + number % 20)} knows words {number} many lanterns harbours gardens whispered"
"""
SCORES = """
def count(prompts, responses, tokens=None):
    if tokens is not None:  # where tokens are scored
        return [[1.0 for _ in pieces] for pieces in tokens]
    return [len(text) / 4 for text in responses]


def constant(prompts, responses):
    return [7.0 for _ in responses]
"""
OTHER_JUDGE = """
def judge(prompts, responses, **columns):
    return [{"score": float(len(text)), "brief": 1.0} for text in responses]
"""

DIARY = """
class Diary:
    def on_update(self, state):
        print(f"diary: update {state.update}")

    def on_evaluate(self, state):
        print(f"diary: evaluate {state.update}")

    def on_save(self, state):
        print(f"diary: save {state.update}")
"""


def write_inputs(folder: Path) -> None:
    """Write models (base, other, reward, ...), data files, functions and finished runs for the report."""
    folder.mkdir()
    (folder / "empty.yaml").write_text("")
    _write_models(folder)
    _write_data(folder)
    (folder / "generator.py").write_text(GENERATOR)
    (folder / "scores.py").write_text(SCORES)
    (folder / "judge.py").write_text(JUDGE)
    (folder / "other_judge.py").write_text(OTHER_JUDGE)
    (folder / "diary.py").write_text(DIARY)
    (folder / "template.jinja").write_text(CHAT_TEMPLATE.replace("'|>'", "'|> '"))
    _write_finished_runs(folder / "finished")


def _write_models(folder: Path) -> None:
    tokenizer = tiny_tokenizer()
    # The other one is far from the base model: sure of its words, where an untrained model is not.
    for name, seed, spread in (("base", 0, 0.02), ("other", 7, 0.3)):
        model = tiny_gpt2(tokenizer, seed, n_layer=1, initializer_range=spread)
        save_model(model, tokenizer, folder / name, stop_token_ids=[tokenizer.eos_token_id])
    for name, seed in {"reward": 3, "other_reward": 9}.items():
        save_model(tiny_reward_model(tokenizer, seed, n_layer=1), tokenizer, folder / name)
    write_reward_adapter(folder / "reward_adapter", str(folder / "base"))


def _write_data(folder: Path) -> None:
    texts = [f"The baker number {n} lives in the red house near the river." for n in range(40)]
    (folder / "text.txt").write_text("\n\n".join(texts))
    for name, trade in (("more_text", "gardener"), ("third_text", "painter")):
        (folder / f"{name}.txt").write_text("\n\n".join(text.replace("baker", trade) for text in texts))
    for seed, (name, count) in enumerate({"train": 16, "validation": 8, "test": 8, "more": 8}.items()):
        rows = demonstrations(count + 1, seed)  # one of them is too long
        for number, row in enumerate(rows):
            row["family"], row["size"] = ("even", "odd")[number % 2], ("small", "large")[number % 3 > 0]
        # One prompt and one response longer than the others.
        rows[0]["prompt"][0]["content"] = f"{name}: " + "why " * 24
        rows[1]["response"] = "because " * 6
        write_jsonl(folder / f"demonstrations.{name}.jsonl", rows)
        write_jsonl(folder / f"prompts.{name}.jsonl", [{**row, "response": None} for row in rows[:count]])
        ranked = rankings(count, seed)
        ranked[0]["prompt"][0]["content"] = f"{name}: " + "why " * 24
        ranked[1]["responses"][0] = "because " * 6
        write_jsonl(folder / f"rankings.{name}.jsonl", ranked)


def _write_finished_runs(folder: Path) -> None:
    tokenizer = tiny_tokenizer()
    for name in ("", "other_"):
        for seed, (stage, section) in enumerate({"sft": "model", "reward": "model", "ppo": "policy"}.items()):
            numbers = {"num_parameters": 12345, "pair_accuracy_labels": 0.75}
            path = write_run(folder / f"{name}{stage}", stage, numbers)
            seed += 10 if name else 0
            make = tiny_reward_model if stage == "reward" else tiny_gpt2
            model = make(tokenizer, seed + 1, n_layer=1)
            save_model(model, tokenizer, path, stop_token_ids=[tokenizer.eos_token_id])
            start = folder.parent / ("base" if stage == "sft" else "finished/sft")
            (path / "config.yaml").write_text(f"{section}:\n  path: {start}\n  dtype: float32\n")
