"""Settings of the report stage."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.settings.effects.effect import Effect, Entry, becomes
from tests.settings.effects.look import (
    all_types,
    generated_rows,
    has_previous,
    longest_pass,
    named,
    stop_tokens,
    where,
)
from tests.settings.effects.seen import Seen
from tests.settings.effects.shared import load_effects

BASE = ("base={path: '{inputs}/base'}",)


def numbers(seen: Seen) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((seen.root / "summary.json").read_text())
    return found


def number(*path: str) -> Callable[[Seen], Any]:
    """A number of the summary, None where it is not there."""

    def look(seen: Seen) -> Any:
        value: Any = numbers(seen)
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return named(".".join(path), look)


def page(seen: Seen) -> str:
    return (seen.root / "report.html").read_text(encoding="utf-8")


def heading(seen: Seen) -> str:
    found = re.search(r"<title>(.*?)</title>", page(seen))
    return found[1] if found else ""


def examples(seen: Seen) -> int:
    return len(re.findall("<article", page(seen)))


def files(seen: Seen) -> list[str]:
    """The page and the numbers, wherever they are."""
    found = [*seen.desk.rglob("*.html"), *seen.desk.rglob("*.json")]
    return sorted(str(file.relative_to(seen.desk)) for file in found if file.parent.name != "report")


def answers_of(policy: str) -> Callable[[Seen], list[tuple[str, float]]]:
    """What a policy answers, and what it is given for it."""
    return named(
        f"answers of {policy}",
        lambda seen: [
            (row["response"], row["reward_score"]) for row in seen.samples if row["policy"] == policy
        ],
    )


def scored_rows(seen: Seen) -> int:
    """The most answers in a pass, generation left out: that takes no more than it samples together."""
    return max(one.rows for one in seen.notes.passes if one.tokens > 1)


ENTRIES: tuple[Entry, ...] = (
    Effect(
        "run.root",
        "{desk}/elsewhere",
        "the run's folder is below it",
        where,
        becomes(["runs/report"], ["elsewhere/report"]),
    ),
    Effect(
        "run.output",
        "{run.root}/other",
        "the run's folder is there",
        where,
        becomes(["runs/report"], ["runs/other"]),
    ),
    Effect(
        "run.name",
        "Bright Owl",
        "the page has it as its heading",
        heading,
        lambda before, after: "Bright Owl" not in before and "Bright Owl" in after,
    ),
    Effect("run.seed", "2", "other answers", answers_of("sft")),
    Effect(
        "run.keep_previous",
        "true",
        "the older report is moved away instead of deleted",
        has_previous,
        becomes(False, True),
        after="finished",
    ),
    Effect("stages.sft", "{inputs}/finished/other_sft", "another SFT model answers", answers_of("sft")),
    Effect("stages.sft", "null", "no SFT model answers", answers_of("sft"), lambda before, after: not after),
    Effect("stages.reward", "{inputs}/finished/other_reward", "other scores", answers_of("sft")),
    Effect(
        "stages.reward",
        "null",
        "no scores",
        number("sft", "reward_score"),
        lambda before, after: after is None,
    ),
    Effect("stages.ppo", "{inputs}/finished/other_ppo", "another PPO model answers", answers_of("ppo")),
    Effect("stages.ppo", "null", "no PPO model answers", answers_of("ppo"), lambda before, after: not after),
    Effect("base", "{path: '{inputs}/other'}", "another base model answers", answers_of("base")),
    Effect("base.path", "{inputs}/other", "another base model answers", answers_of("base"), given=BASE),
    *load_effects("base", "base", BASE),
    Effect(
        "base.dtype",
        "bfloat16",
        "some products are of that type",
        all_types,
        becomes({"float32"}, {"float32", "bfloat16"}),
        BASE,
    ),
    Effect("base.eos_token", "<|user|>", "it ends answers too", stop_tokens, becomes(1, 2), BASE),
    Effect(
        "base.chat_template",
        "{inputs}/template.jinja",
        "it is asked in other words",
        answers_of("base"),
        given=BASE,
    ),
    Effect(
        "data.test",
        "[{path: '{inputs}/prompts.test.jsonl'}, {path: '{inputs}/prompts.more.jsonl'}]",
        "the prompts are spread over both sources",
        answers_of("sft"),
    ),
    Effect("evaluation.num_prompts", "4", "so many prompts", number("num_prompts"), becomes(6, 4)),
    Effect(
        "evaluation.judge",
        "null",
        "compared by the reward model",
        number("compared_by"),
        becomes("judge", "reward_model"),
    ),
    Effect(
        "evaluation.judge",
        "{inputs}/other_judge.py:judge",
        "another judge has other criteria",
        number("sft", "criteria"),
        lambda before, after: set(before) == {"helpful"} and set(after) == {"brief"},
    ),
    Effect("evaluation.temperature", "0.1", "other answers", answers_of("sft")),
    Effect(
        "evaluation.greedy",
        "true",
        "likeliest answers too",
        number("sft", "greedy"),
        lambda before, after: before is None and after is not None,
    ),
    Effect("evaluation.max_prompt_tokens", "40", "no longer passes", longest_pass),
    Effect(
        "evaluation.max_response_tokens",
        "3",
        "shorter answers",
        number("base", "response_tokens"),
        lambda before, after: after <= 3 < before,
    ),
    Effect("evaluation.batch_size", "3", "so many are sampled together", generated_rows, becomes(4, 3)),
    Effect("evaluation.microbatch_size", "6", "so many in a pass", scored_rows, becomes(4, 6)),
    Effect(
        "report.summary",
        "{run.root}/numbers.json",
        "it is written there",
        files,
        becomes(["runs/report.html", "runs/summary.json"], ["runs/numbers.json", "runs/report.html"]),
    ),
    Effect(
        "report.page",
        "{run.root}/page.html",
        "it is written there",
        files,
        becomes(["runs/report.html", "runs/summary.json"], ["runs/page.html", "runs/summary.json"]),
    ),
    Effect(
        "report.family",
        "size",
        "numbers are split by that column",
        number("families"),
        lambda before, after: set(before) == {"even", "odd"} and set(after) == {"small", "large"},
    ),
    Effect("report.num_examples", "2", "so many answers on the page", examples, becomes(6, 2)),
)
