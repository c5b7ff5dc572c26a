"""People's own functions: found where YAML names them, and what they do wrong is one message."""

from __future__ import annotations

import pytest

from rlhf.errors import RunError, SettingsError
from rlhf.feedback.records import Message, Prompt
from rlhf.functions import call_with_columns, generated_texts, judge_responses, load_function

PROMPTS = [Prompt(f"p{i}", (Message("user", "Hello"),), f"g{i}", f"f:{i}") for i in range(2)]


def write(path, text):
    path.write_text(text)
    return str(path)


def test_load_function_from_a_file_with_a_helper_beside_it(tmp_path):
    write(tmp_path / "helper_of_rewards.py", "BONUS = 2.0\n")
    file = write(
        tmp_path / "rewards.py",
        "from helper_of_rewards import BONUS\n\ndef score(prompts, responses):\n    return [BONUS] * len(responses)\n",
    )
    assert load_function(f"{file}:score")([], ["a", "b"]) == [2.0, 2.0]


def test_load_function_from_a_file_of_a_package(tmp_path):
    package = tmp_path / "some_world_of_tests"
    package.mkdir()
    write(package / "__init__.py", "")
    write(package / "facts.py", "NUMBER = 7\n")
    file = write(package / "judging.py", "from . import facts\n\ndef judge():\n    return facts.NUMBER\n")
    assert load_function(f"{file}:judge")() == 7


def test_load_function_says_what_is_wrong(tmp_path):
    file = write(tmp_path / "rewards.py", "import os\ndef score(a):\n    pass\nclass Scorer:\n    pass\n")
    broken = write(tmp_path / "broken.py", "import no_such_package\n")
    for name, message in [
        ("rewards.score", "write file.py:function"),
        (f"{tmp_path}/none.py:score", "none.py' does not exist"),
        (f"{file}:scores", r"has no function 'scores' \(it has: Scorer, score\); did you mean score\?"),
        (f"{file}:score", "is called with 2 arguments by position, but cannot be: too many positional"),
        (f"{broken}:score", "failed with ModuleNotFoundError: No module named 'no_such_package'"),
    ]:
        with pytest.raises(SettingsError, match=f"^scores.1..function: .*{message}"):
            load_function(name, "scores[1].function", num_arguments=2)


def test_a_script_that_ends_the_process_is_no_function_file(tmp_path):
    file = write(tmp_path / "script.py", "import sys\nsys.exit(0)\n")
    with pytest.raises(SettingsError, match="failed with SystemExit"):
        load_function(f"{file}:score")


# ---- judges


def judged(verdicts):
    return judge_responses(lambda prompts, responses: verdicts, PROMPTS, ["a", "b"], "judges.py:judge")


def test_a_judge_gives_finite_numbers_with_a_score():
    assert judged([{"score": 1, "kind": 0.5}, {"score": 0, "kind": True}]) == [
        {"score": 1.0, "kind": 0.5},
        {"score": 0.0, "kind": 1.0},
    ]


@pytest.mark.parametrize(
    ("verdicts", "message"),
    [
        ([0.5, 0.7], "gave 0.5 for prompt 'p0'; a judge gives a dictionary with 'score'"),
        ([{"score": 1.0}, {"helpful": 1.0}], "for prompt 'p1'; a judge gives a dictionary with 'score'"),
        ([{"score": 1.0}, {"score": float("nan")}], "for prompt 'p1'; every value is a finite number"),
        ([{"score": "good"}, {"score": 1.0}], "for prompt 'p0'; every value is a finite number"),
        ([{"score": 1.0}, {"score": 1.0, "kind": 1.0}], "the criteria are the same for all"),
        ([{"score": 1.0}], "gave 1 values for 2 responses"),
        (None, "gave None for 2 responses"),
    ],
)
def test_a_judge_that_gives_something_else_is_named(verdicts, message):
    with pytest.raises(RunError, match=message):
        judged(verdicts)


def test_a_judge_that_fails_is_named_with_its_line(tmp_path):
    file = write(tmp_path / "judges.py", "def judge(prompts, responses):\n    return 1 / 0\n")
    with pytest.raises(RunError, match=r"failed with ZeroDivisionError: .*\(.*judges.py:2\)"):
        judge_responses(load_function(f"{file}:judge"), PROMPTS, ["a", "b"], f"{file}:judge")


def test_how_a_function_is_called_is_said_where_it_cannot_be(tmp_path):
    file = write(tmp_path / "judges.py", "def judge(prompts, responses, tokens):\n    return []\n")
    message = (
        r"judge is called as f\(prompts, responses\), but cannot be: .*'tokens'; `tokens` are given where"
    )
    with pytest.raises(RunError, match=message):
        call_with_columns(load_function(f"{file}:judge"), PROMPTS, ["a", "b"], f"{file}:judge")
    message = r"^evaluation.judge: .*judge cannot judge these prompts: .*'tokens' .*evaluation.judge: null"
    with pytest.raises(RunError, match=message):
        judge_responses(load_function(f"{file}:judge"), PROMPTS, ["a", "b"], f"{file}:judge")


DECORATED = """
import functools

def per_response(function):
    @functools.wraps(function)
    def lifted(prompts, responses, **columns):
        return [function(response) for response in responses]
    return lifted

@per_response
def length(response):
    return float(len(response))
"""


def test_a_decorated_function_is_taken_for_what_it_is_and_not_for_what_it_wraps(tmp_path):
    file = write(tmp_path / "lifting.py", DECORATED)
    function = load_function(f"{file}:length", "scores[0].function", num_arguments=2)
    assert call_with_columns(function, PROMPTS, ["a", "bcd"], "length") == [1.0, 3.0]


def test_a_function_that_ends_the_process_is_named_with_its_line(tmp_path):
    file = write(tmp_path / "judges.py", "import sys\ndef judge(prompts, responses):\n    sys.exit(3)\n")
    with pytest.raises(RunError, match=r"failed with SystemExit: 3 \(.*judges.py:3\)"):
        judge_responses(load_function(f"{file}:judge"), PROMPTS, ["a", "b"], f"{file}:judge")


# ---- generators


def test_a_generator_gives_its_first_texts(tmp_path):
    file = write(tmp_path / "texts.py", "def forever(seed):\n    while True:\n        yield str(seed)\n")
    assert list(generated_texts(f"{file}:forever", 7, 2)) == ["7", "7"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    yield 'a'\n    raise OSError('gone')\n", r"failed with OSError: gone \(.*texts.py:3\)"),
        ("    return None\n", "returned None; a generator of texts yields them, or returns a list"),
        ("    return []\n", "gave no text"),
        ("    yield 'a'\n    yield 5\n", "gave 5 as document 2; a document is text"),
    ],
)
def test_a_generator_that_fails_or_gives_no_text_is_named(tmp_path, body, message):
    file = write(tmp_path / "texts.py", f"def texts(seed):\n{body}")
    with pytest.raises(RunError, match=message):
        list(generated_texts(f"{file}:texts", 0, None))
