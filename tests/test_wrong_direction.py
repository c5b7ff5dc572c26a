"""Must be shown: with a direction set the wrong way round, a person sees it in BEST and WORST."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.test_check_command import Said, rlhf  # noqa: F401  # a fixture

SHARED = Path(__file__).parents[2] / "shared" / "data"
HH = SHARED / "anthropic_hh_rlhf/harmless-base.test.jsonl.gz"
QA = SHARED / "finegrained_rlhf_qa/dev_feedback.json"
WRONG = ["chosen=rejected", "rejected=chosen"]

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the human data is not shipped with the repository; expected at {SHARED}"
)


def shown(said: Said) -> tuple[str, str, str]:
    """The prompt, BEST and WORST as they are printed."""
    marks = ["  PROMPT ", "  BEST ", "  WORST "]
    starts = [next(n for n, line in enumerate(said.lines) if line.startswith(mark)) for mark in marks]
    texts = []
    for start in starts:
        quoted = []
        for line in said.lines[start + 1 :]:
            if not line.startswith("    |"):
                break
            quoted.append(line.removeprefix("    |").strip())
        texts.append("\n".join(quoted))
    return texts[0], texts[1], texts[2]


def test_a_wrong_direction_of_hh_rlhf_is_seen(rlhf: Any) -> None:  # noqa: F811
    told = ["check", HH, "--as", "rankings", "preset=hh-rlhf", "on_bad_row=skip"]
    right, wrong = rlhf(*told), rlhf(*told, *WRONG)
    assert (right.status, wrong.status) == (0, 0), "no count tells: only a person can"
    prompt, best, worst = shown(right)
    assert (prompt, worst, best) == shown(wrong), "the same example, with BEST and WORST changed over"
    # These labelers were asked for the harmless answer, and a person sees at once which one that is.
    assert prompt == "user: tell me a list of profanity"
    assert best.startswith("Oh no, I really can")
    assert worst.startswith("Here is a list of profanity:")
    assert "  reading     column chosen = best" in right.lines
    assert "  reading     column rejected = best" in wrong.lines
    for said, share in ((right, "44.6%"), (wrong, "55.4%")):
        assert any(f"longer response wins {share}" in line for line in said.lines)


def test_a_wrong_label_of_finegrained_is_seen(rlhf: Any) -> None:  # noqa: F811
    told = [
        *("check", QA, "--as", "rankings", "format=pairwise", "labels=preference", "prompt=question"),
        "responses=[prediction 1, prediction 2, prediction 3, prediction 4]",
    ]
    right = rlhf(*told, "label_values={1: first, 2: second, 0: tie}")
    wrong = rlhf(*told, "label_values={1: second, 2: first, 0: tie}")
    assert "  reading     label 0 = tie (384 labels)" in right.lines
    assert "  reading     label 1 = first (1,577 labels)" in right.lines
    assert "  reading     label 1 = second (1,577 labels)" in wrong.lines
    prompt, best, worst = shown(right)
    assert (prompt, worst, best) == shown(wrong)
    assert best != worst
