"""Settings of text beside the prompts of PPO: what it goes on learning (ptx), and what it is measured on."""

from __future__ import annotations

import re

from tests.settings.effects.effect import Effect, Entry, becomes, rises
from tests.settings.effects.look import (
    first,
    last,
    longest_pass,
    longest_training_pass,
    metric,
    said,
    training_passes,
)
from tests.settings.effects.seen import Seen

TEXT = "[{path: '{inputs}/text.txt', format: text, separator: \"\\n\\n\"}]"
MORE = "[{path: '{inputs}/more_text.txt', format: text, separator: \"\\n\\n\"}]"
OTHER = TEXT.replace("text.txt", "third_text.txt")  # what is learnt may not be measured on too
SHOWN = "[{path: '{inputs}/demonstrations.train.jsonl'}]"
DRAWN = "generator: '{inputs}/generator.py:documents', num_documents: 20"
LEARNT = f"{{text: {TEXT}, {DRAWN}, demonstrations: {SHOWN}, batch_size: 4, max_tokens: 64}}"
MEASURED = f"{{text: {MORE}, {DRAWN}, generator_seed: 1, max_tokens: 64}}"
GIVEN = (f"ptx={LEARNT}", f"evaluation.text={MEASURED}")

ptx_loss = first("ppo/ptx_loss")
text_loss = first("evaluation/text_loss")
learnt = said(r"ptx: (\d+) documents")
measured = said(r"evaluation.text: (\d+) documents")


def rows_learnt(seen: Seen) -> int:
    """How many rows of text the run says that it learns from."""
    (found,) = re.findall(r"optimizer steps read all ([\d,]+) rows", seen.said)
    return int(found.replace(",", ""))


ENTRIES: tuple[Entry, ...] = (
    Effect(
        "ptx",
        f"{{text: {TEXT}, batch_size: 4, max_tokens: 32}}",
        "each update learns from text",
        metric("ppo/ptx_loss"),
        lambda before, after: not any(before) and len(after) == 2 and min(after) > 1,
    ),
    Effect(
        "ptx.text",
        f"{TEXT[:-1]}, {OTHER[1:]}",
        "both sources are read",
        learnt,
        becomes(["60"], ["100"]),
        GIVEN,
    ),
    Effect("ptx.text", OTHER, "and learnt from", ptx_loss, given=GIVEN),
    Effect("ptx.generator", "{inputs}/generator.py:riddles", "other text", ptx_loss, given=GIVEN),
    Effect("ptx.generator_seed", "2", "other text", ptx_loss, given=GIVEN),
    Effect("ptx.num_documents", "30", "so many are drawn", learnt, becomes(["60"], ["70"]), GIVEN),
    Effect(
        "ptx.demonstrations",
        "[]",
        "less rows are learnt from",
        rows_learnt,
        lambda before, after: 0 < after < before,
        GIVEN,
    ),
    Effect("ptx.demonstrations", "[]", "without them the loss is another", ptx_loss, given=GIVEN),
    Effect("ptx.coef", "0.0", "the text is not learnt", last("ppo/ptx_loss"), rises, GIVEN),
    Effect(
        "ptx.batch_size",
        "8",
        "two more microbatches of two rows in each of four steps",
        training_passes,
        lambda before, after: after == before + 8,
        GIVEN,
    ),
    Effect("ptx.max_tokens", "100", "so long rows", longest_training_pass, becomes(64, 100), GIVEN),
    Effect(
        "evaluation.text",
        f"{{text: {MORE}, max_tokens: 32}}",
        "the loss on it is measured at both ends",
        metric("evaluation/text_loss"),
        lambda before, after: not before and len(after) == 2 and min(after) > 1,
    ),
    Effect(
        "evaluation.text.text",
        f"{MORE[:-1]}, {OTHER[1:]}",
        "both sources are read",
        measured,
        becomes(["60"], ["100"]),
        GIVEN,
    ),
    Effect("evaluation.text.text", "[]", "and measured on", text_loss, given=GIVEN),
    Effect(
        "evaluation.text.generator", "{inputs}/generator.py:riddles", "other text", text_loss, given=GIVEN
    ),
    Effect("evaluation.text.generator_seed", "2", "other text", text_loss, given=GIVEN),
    Effect(
        "evaluation.text.num_documents", "30", "so many are drawn", measured, becomes(["60"], ["70"]), GIVEN
    ),
    Effect("evaluation.text.max_tokens", "100", "so long rows", longest_pass, becomes(64, 100), GIVEN),
)
