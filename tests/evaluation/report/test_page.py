from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rlhf.evaluation.report.curves import panels_of
from rlhf.evaluation.report.examples import choose_examples
from rlhf.evaluation.report.figures import calibration_figure, histogram_figure, panel_figure
from rlhf.evaluation.report.markup import intervals
from rlhf.evaluation.report.page import build_page
from rlhf.evaluation.report.stage_runs import read_stage_run
from rlhf.evaluation.report.summary import build_summary
from tests.evaluation.report.made_up import answer, prompt, warn, write_run

EVIL = "<script>alert('x')</script><b>&amp;\"'"
VOID = {"meta", "br", "input", "hr", "wbr", "use", "path"}


class Reader(HTMLParser):
    """Collects the elements, and fails where one is closed that is not open."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def make_page(tmp_path: Path, stages: tuple[str, ...] = ("sft", "reward", "ppo"), **options: Any) -> str:
    runs = {
        stage: read_stage_run(
            folder if folder.exists() else write_run(folder, stage, {"pair_accuracy_labels": 0.7}), stage
        )
        for stage in stages
        for folder in [tmp_path / stage]
    }
    answers: dict[str, Any] = {"base": [answer(row, 0.1, text=EVIL) for row in range(8)]}
    if "sft" in stages:
        answers["sft"] = [answer(row, 0.5, tokens=row + 1) for row in range(8)]
    if "ppo" in stages:
        answers["ppo"] = [answer(row, row / 8, kl=float(row)) for row in range(8)]
    answers = answers if "sft" in stages else {}
    prompts = [prompt(row, EVIL, EVIL if row % 2 else "fact") for row in range(8)] if answers else []
    families = [str(one.columns["family"]) for one in prompts]
    summary = build_summary(
        runs,
        answers,
        {},
        families,
        seed=1,
        temperature=1.0,
        judge=EVIL,
        versions={"torch": EVIL},
        notes=[EVIL],
    )
    return build_page(summary, runs, prompts, answers, families=families, **options)


def test_the_page_is_whole_and_needs_nothing_from_outside(tmp_path: Path) -> None:
    page = make_page(tmp_path)
    reader = read(page)
    assert len(page) < 2_000_000
    for name, attributes in reader.seen:
        assert name not in ("img", "link", "iframe", "base")
        for key in ("src", "href", "xlink:href"):
            assert (attributes.get(key) or "#").startswith("#"), (name, attributes)
    assert "http" not in re.sub(r"http://www\.w3\.org/\d+/(svg|xlink)", "", page)
    assert "url(" not in re.sub(r"url\(#\w+\)", "", page)
    anchors = {attributes["href"] for name, attributes in reader.seen if name == "a"}
    assert anchors == {
        f"#{name}" for name in ("training", "better", "moved", "reward", "curves", "answers", "origin")
    }
    assert "43.8 %" in page  # PPO: three wins, one tie (0.5), four losses of eight


def test_text_of_models_and_data_is_text(tmp_path: Path) -> None:
    page = make_page(tmp_path, title=EVIL)
    reader = read(page)
    assert sum(name == "script" for name, _ in reader.seen) == 1  # ours
    assert EVIL not in page
    assert "".join(reader.text).count("<script>alert('x')</script>") > 16


def test_warnings_of_a_run_stand_beside_what_it_was_trained_on(tmp_path: Path) -> None:
    warn(write_run(tmp_path / "ppo", "ppo"), 12, f"raise ppo.kl_coef {EVIL}")
    warn(tmp_path / "ppo", 40, "the end token is never trained")
    page = make_page(tmp_path)
    section = page[page.index('id="training"') : page.index('id="better"')]
    text = "".join(read(f"<section {section[: section.index('</section>')]}</section>").text)
    assert "PPO: warnings" in text
    assert f"update 12: raise ppo.kl_coef {EVIL}" in text
    assert text.index("update 12: ") < text.index("update 40: the end token is never trained")
    assert EVIL not in page
    (tmp_path / "ppo" / "warnings.jsonl").unlink()
    assert ": warnings" not in make_page(tmp_path)


def test_the_same_runs_give_the_same_page(tmp_path: Path) -> None:
    assert make_page(tmp_path) == make_page(tmp_path)


@pytest.mark.parametrize("stages", [("sft",), ("reward",), ("sft", "reward"), ("sft", "ppo")])
def test_a_page_of_some_stages(tmp_path: Path, stages: tuple[str, ...]) -> None:
    page = make_page(tmp_path, stages)
    read(page)
    assert ('id="better"' in page) == ("sft" in stages)
    assert ('id="reward"' in page) == ("reward" in stages)


def test_figures_have_words_and_the_colours_of_the_page() -> None:
    rows = [
        {"step": step, "sft/loss": float("nan") if step == 7 else 2.0 - step / 100} for step in range(100)
    ]
    [panel], _ = panels_of("sft", rows)
    figures = [
        panel_figure(panel),
        histogram_figure("Length", "tokens", {"sft": [1.0, 2.0], "ppo": [5.0]}, "Of answers."),
        calibration_figure([{"predicted": 0.6, "observed": 0.7, "num_pairs": 10}]),
    ]
    for figure in figures:
        reader = read(figure)
        assert any(
            attributes.get("role") == "img" and attributes.get("aria-label") for _, attributes in reader.seen
        )
        assert "var(--" in figure
        assert not re.search(r"#0[1-8]0[1-8]0[1-8]", figure)
        assert not re.search(r'<g id=|width="\d+[.\d]*pt"', figure)
        assert len(figure) < 40_000
    assert "sft goes" not in figures[0]
    assert "training goes from 2 to 1.01" in figures[0]


def test_curves_are_those_that_were_recorded() -> None:
    rows = [{"step": step, "ppo/kl": step / 2, "ppo/strange": float(step)} for step in range(1, 5)]
    rows += [
        {"step": 2, "evaluation/judge_score": 0.5, "evaluation/judge_kind": 0.1},
        {"step": 2, "ppo/kl": 9.0},
    ]
    rows += [{"step": 4, "evaluation/judge_score": 0.6, "evaluation/judge_kind": 0.2, "note": "text"}]
    panels, others = panels_of("ppo", rows)
    assert [panel.title for panel in panels] == ["KL", "Judge"]
    assert [series.name for series in panels[1].series] == ["score", "kind"]
    assert [panel.title for panel in others] == ["ppo/strange"]
    again, _ = panels_of(
        "sft", [{"step": 1, "sft/loss": 3.0}, {"step": 2, "sft/loss": 2.0}, {"step": 2, "sft/loss": 1.0}]
    )
    assert again[0].series[0].values == [3.0, 1.0]


def test_examples_hold_the_worst_falls_and_every_family() -> None:
    families = ["a"] * 50 + ["b"] * 30 + ["c"] * 20
    sft = [answer(row, 0.5) for row in range(100)]
    ppo = [answer(row, 0.1 if row == 42 else 0.2 if row == 17 else 0.6) for row in range(100)]
    rows, num_falls = choose_examples({"sft": sft, "ppo": ppo}, families, 12)
    assert {42, 17} <= set(rows)
    assert (len(rows), num_falls) == (12, 2)
    assert {families[row] for row in rows} == {"a", "b", "c"}
    assert choose_examples({"sft": sft}, families, 500) == (list(range(100)), 0)


def test_an_interval_stands_where_its_numbers_are() -> None:
    drawn = intervals([("x", 0.5, 0.4, 0.75, "ppo")], label="one", mark=0.5)
    assert 'style="left:40.0%;width:35.0%"' in drawn
    assert "50.0 % [40.0, 75.0]" in drawn
