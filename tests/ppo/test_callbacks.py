"""The user's own code at a run's turning points."""

from __future__ import annotations

import pytest

from rlhf.errors import RunError, SettingsError
from rlhf.ppo.callbacks import Callback, load_callback
from rlhf.ppo.loop import Habits
from rlhf.runs.existing import find_checkpoints
from tests.ppo.running import all_weights, run_training
from tests.ppo.tiny import same_weights, tiny_recipe


class Diary(Callback):
    def __init__(self):
        self.pages = []

    def on_update(self, state):
        self.pages.append(("update", state.update, state.metrics["ppo/score"]))

    def on_evaluate(self, state):
        self.pages.append(("evaluate", state.update, state.metrics["evaluation/score"]))

    def on_save(self, state):
        assert (state.folder / "manifest.json").is_file(), "it is called when the checkpoint is complete"
        self.pages.append(("save", state.update, state.folder.name))


def test_inv75_callbacks_are_called_after_updates_evaluations_and_saves(tmp_path):
    diary = Diary()
    run_training(tmp_path / "ppo", tiny_recipe(num_updates=2), callbacks=[diary])
    assert [page[:2] for page in diary.pages] == [
        ("evaluate", 0), ("update", 1), ("save", 1), ("update", 2), ("evaluate", 2), ("save", 2),
    ]  # fmt: skip
    assert diary.pages[2][2] == "step_000001"


def test_inv75_a_callback_ends_the_run_early_with_an_evaluation_and_it_stays_ended(tmp_path):
    class Enough:
        def on_update(self, state):
            state.stop = state.update == 2

    short, progress, _ = run_training(
        tmp_path / "ppo", tiny_recipe(num_updates=6), callbacks=[Enough()], finish=False
    )
    assert (progress.update, progress.ended) == (2, True)
    assert progress.last_evaluation is not None
    assert find_checkpoints(tmp_path / "ppo")[-1].name == "step_000002"
    two, _, _ = run_training(tmp_path / "two", tiny_recipe(num_updates=2))
    assert same_weights(all_weights(short), all_weights(two))
    _, progress, _ = run_training(tmp_path / "ppo", tiny_recipe(num_updates=6))
    assert progress.update == 2, "resumed without the callback, the run knows that it has ended"


def test_a_callback_that_fails_is_named_with_its_line(tmp_path):
    class Broken:
        def on_evaluate(self, state):
            raise KeyError("mine")

    with pytest.raises(
        RunError,
        match=r"callback Broken.on_evaluate failed with KeyError: 'mine' \(.*test_callbacks.py:\d+\)",
    ):
        run_training(tmp_path / "ppo", tiny_recipe(num_updates=1), callbacks=[Broken()])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("class Mine:\n    def on_updat(self, state): ...\n", "has on_updat, which nothing calls"),
        ("class Mine:\n    def update(self, state): ...\n", "has no method that is called"),
        ("def Mine(): ...\n", "is no class; a callback is a class with on_update, on_evaluate or on_save"),
        (
            "class Mine:\n    def __init__(self, a): ...\n    def on_save(self, state): ...\n",
            "without arguments",
        ),
        ("class Mine2:\n    def on_save(self, state): ...\n", r"has no .*Mine.*; did you mean Mine2\?"),
    ],
)
def test_inv75_a_callback_that_would_never_be_called_is_refused(tmp_path, code, message):
    (tmp_path / "mine.py").write_text(code)
    with pytest.raises(SettingsError, match=f"^callbacks: .*{message}"):
        load_callback(f"{tmp_path}/mine.py:Mine")


def test_a_callback_that_is_a_dictionary_or_holds_a_flag_is_one_too(tmp_path):
    (tmp_path / "mine.py").write_text(
        "class Mine(dict):\n    on_gpu = True\n    def on_save(self, state): ...\n"
    )
    assert load_callback(f"{tmp_path}/mine.py:Mine")() == {}


def test_looking_changes_nothing(tmp_path):
    plain, _, _ = run_training(tmp_path / "plain", tiny_recipe(num_updates=2))
    watched, _, _ = run_training(
        tmp_path / "watched", tiny_recipe(num_updates=2), callbacks=[Callback(), Diary()]
    )
    assert same_weights(all_weights(plain), all_weights(watched))


@pytest.mark.parametrize("asks_first", [True, False])
def test_inv75_every_callback_is_called_and_any_may_stop(tmp_path, asks_first):
    """Also where another one says afterwards that it has no wish to."""
    asking = [stopping("on_update", 3), stopping("on_update", 5)]
    first, last = Diary(), Diary()
    callbacks = [first, *(asking if asks_first else reversed(asking)), last]
    _, progress, _ = run_training(tmp_path / "ppo", tiny_recipe(num_updates=6), callbacks=callbacks)
    assert progress.update == 3
    assert first.pages == last.pages
    assert [page[1] for page in last.pages if page[0] == "evaluate"] == [0, 2, 3], (
        "the last one, though not due"
    )
    assert [page[0] for page in last.pages[-2:]] == ["evaluate", "save"], "and it is in the last checkpoint"


def stopping(event, update):
    """A callback that asks for the end in `event` of `update`."""

    def ask(self, state):
        state.stop = state.update == update

    return type("Stopping", (), {event: ask})()


@pytest.mark.parametrize(
    ("event", "update"), [("on_evaluate", 0), ("on_evaluate", 2), ("on_save", 1), ("on_update", 1)]
)
def test_inv75_an_end_asked_for_anywhere_comes_after_that_update_with_its_evaluation(tmp_path, event, update):
    diary = Diary()
    _, progress, _ = run_training(
        tmp_path / "ppo", tiny_recipe(num_updates=6), callbacks=[stopping(event, update), diary]
    )
    assert (progress.update, progress.ended) == (update, True)
    evaluations = [page[1] for page in diary.pages if page[0] == "evaluate"]
    assert evaluations == sorted({0, update}), "once, and of the last update"


def test_inv73_inv75_an_end_asked_for_while_saving_stays_asked_for_where_the_run_dies_after_it(tmp_path):
    class Dying:
        def on_evaluate(self, state):
            assert state.update == 0

    recipe = tiny_recipe(num_updates=6)
    with pytest.raises(RunError, match=r"Dying\.on_evaluate failed"):
        run_training(tmp_path / "ppo", recipe, callbacks=[stopping("on_save", 1), Dying()], finish=False)
    diary = Diary()
    _, progress, _ = run_training(tmp_path / "ppo", recipe, callbacks=[diary])
    assert (progress.update, progress.ended) == (1, True)
    assert [page[:2] for page in diary.pages] == [("evaluate", 1)], (
        "what is exported is what was measured last"
    )


def test_inv59_inv75_an_end_that_one_process_asks_for_is_known_to_all_after_the_same_call(
    tmp_path, monkeypatch
):
    """As if another process's callback had asked: this one's did not, and ends at the same place."""
    asked = iter([False, True])
    monkeypatch.setattr(
        "rlhf.ppo.loop.any_requested", lambda wanted, accelerator: wanted or next(asked, False)
    )
    habits = Habits(evaluate_every=None, checkpoint_every=None)
    try:
        _, progress, _ = run_training(tmp_path / "ppo", tiny_recipe(num_updates=6), habits=habits)
    except KeyboardInterrupt:
        pytest.fail("the other process's wish was not asked for after the callback")
    assert (progress.update, progress.ended) == (1, True)
