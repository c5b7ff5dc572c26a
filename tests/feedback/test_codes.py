"""The catalogue holds every code that a reader or a finder can give."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

from rlhf.errors import DataError
from rlhf.feedback import BadRow, level_of
from rlhf.feedback.codes import CODES

FEEDBACK = Path(__file__).parents[2] / "rlhf/feedback"
# Where a call has its code: the place of the argument; or always as code=.
CALLS = {
    "_tell_once": 0,
    "BadRow": 2,
    "DataError": 2,
    "JSONText": 2,
    "take_note": 0,
    "Note": 0,
    "add": 0,
    "_Sign": 0,
    "_Trouble": 0,
    "setdefault": 0,
}


def words(node: ast.expr | None) -> list[str]:
    """The texts that an argument can be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    return words(node.body) + words(node.orelse) if isinstance(node, ast.IfExp) else []


def codes_in(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found.update(word for key in node.keywords if key.arg == "code" for word in words(key.value))
            if name in CALLS and len(node.args) > CALLS[name]:
                found.update(words(node.args[CALLS[name]]))
        elif isinstance(node, ast.Assign) and any(
            getattr(one, "id", "") in ("code", "gone") for one in node.targets
        ):
            found.update(words(node.value))
    return {word for word in found if word.replace("_", "").isalpha()}


USED = {path.relative_to(FEEDBACK).as_posix(): codes_in(path) for path in sorted(FEEDBACK.rglob("*.py"))}


def test_codes_are_found_in_the_source() -> None:
    """The search itself: codes of every kind of call."""
    everything = set().union(*USED.values())
    assert {"leak", "html", "mojibake", "cycle", "imbalance", "contradiction"} <= everything
    assert {
        "bad_rank",
        "truncated_gz",
        "deleted_message",
        "left_out",
        "near_duplicate",
        "lone_surrogate",
    } <= everything
    assert {
        "repeated_prompt",
        "bad_json",
        "marker_in_response",
        "intransitive_tie",
        "empty_text",
    } <= everything
    assert len(everything) > 50


@pytest.mark.parametrize("file", [file for file, codes in USED.items() if codes])
def test_every_code_is_in_the_catalogue(file: str) -> None:
    assert USED[file] <= set(CODES)


def test_each_code_says_what_it_means_and_what_to_do() -> None:
    for code, (level, meaning, remedy) in CODES.items():
        assert code == code.lower()
        assert level in ("error", "warning"), code
        assert meaning[0].isupper(), code
        assert meaning.endswith("."), code
        assert remedy.endswith("."), code
        assert len(meaning) < 90, code
    assert (level_of("leak"), level_of("near_duplicate")) == ("error", "warning")
    with pytest.raises(KeyError):
        level_of("no_such_code")


def test_errors_carry_their_code_across_processes() -> None:
    for error in (
        DataError("what", "a:1", "bad_json"),
        DataError("what"),
        BadRow("what", "a:1"),
        BadRow("x", None, "bad_rank"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.code) == (type(error), str(error), error.code)
    assert (DataError("x").code, BadRow("x").code) == ("bad_data", "bad_row")
