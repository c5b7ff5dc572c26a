from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest

from rlhf.runs import console
from rlhf.runs.clock import Stopwatch, format_seconds


@pytest.fixture(autouse=True)
def _speaking_again() -> Iterator[None]:
    yield
    console.silence(False)
    console.send_to(None)


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    console.table([("sft", 0.61234567, 3), ("ppo", None, 12)], ("stage", "score", "n"), title="scores")
    assert capsys.readouterr().out.splitlines() == [
        "scores",
        "stage   score   n",
        "-----  ------  --",
        "sft    0.6123   3",
        "ppo         -  12",
    ]


def test_a_table_without_rows() -> None:
    assert console.format_table([], ("a", "b")) == ["a  b", "-  -"]


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    console.silence()
    console.say("x")
    console.table([(1,)], ("a",))
    with console.progress(2, "label") as bar:
        bar.update(1, kl=0.5)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_another_stream(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    console.send_to(stream)
    console.say("x")
    assert (stream.getvalue(), capsys.readouterr().out) == ("x\n", "")


def test_a_progress_bar_shows_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(4, "ppo", "updates", done=2) as bar:
        bar.update(2, kl=0.123456, note="ok")
    shown = capsys.readouterr().err
    assert "ppo" in shown
    assert "4/4" in shown
    assert "kl=0.1235" in shown
    assert "note=ok" in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_a_stopwatch_stops_at_the_end_of_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 12.5, 14.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    watch = Stopwatch()  # 0.0
    with watch:  # 10.0
        assert watch.seconds == 2.5  # 12.5
    assert watch.seconds == 4.0  # 14.0, and no later look at the clock


def test_a_bar_that_an_error_left_open_is_closed_before_the_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = console.progress(5, "ppo", "updates")
    bar.update(2)
    console.close_bars()
    print("the message", file=sys.stderr)
    assert capsys.readouterr().err.splitlines()[-1] == "the message"
    console.close_bars()  # none is open any more
