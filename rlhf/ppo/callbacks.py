"""Code of the user's that a run calls at its turning points."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rlhf.errors import SettingsError
from rlhf.functions import cannot_take, failures_named, load_function

if TYPE_CHECKING:
    from rlhf.ppo.parts import Parts
    from rlhf.ppo.recipe import Recipe

Event = Literal["on_update", "on_evaluate", "on_save"]


@dataclass
class State:
    """What a callback is shown, and the one thing that it may change.

    Attributes:
        update: updates done.
        metrics: of the update or the evaluation, as in metrics.jsonl; after a save the last update's.
        parts: models, optimizers, the accelerator.
        recipe: the numbers of the algorithm.
        folder: the run's folder; after a save the checkpoint's.
        stop: set it to True, on any process, to end the training after this update: the run then goes on to
            its last evaluation and its export, as if it had been that long.

    """

    update: int
    metrics: Mapping[str, float]
    parts: Parts
    recipe: Recipe
    folder: Path
    stop: bool = False


class Callback:
    """Does nothing at every turning point; derive from it, or write a class with some of its methods.

    Every process calls every method (`state.parts.accelerator.is_main_process` tells the first one).
    """

    def on_update(self, state: State) -> None:
        """Look at an update that is done and recorded."""

    def on_evaluate(self, state: State) -> None:
        """Look at an evaluation that is done and recorded."""

    def on_save(self, state: State) -> None:
        """Look at a checkpoint that is complete."""


def load_callback(name: str) -> type:
    """Load the user's class `file.py:name`, and see that a run can make an object of it and has calls for it.

    Raises:
        SettingsError: there is no such class, it wants arguments, it has none of the methods that are called,
            or one that looks like them and never would be.
    """
    found: Any = load_function(name, "callbacks")
    known = get_args(Event)
    if not inspect.isclass(found):
        raise SettingsError(f"'{name}' is no class; a callback is a class with {_either(known)}", "callbacks")
    mistake = cannot_take(found, (), {})
    if mistake is not None:
        raise SettingsError(f"'{name}' is made without arguments, but cannot be: {mistake}", "callbacks")
    own = [key for key in dir(found) if key.startswith("on_") and callable(getattr(found, key))]
    strange = [method for method in own if method not in known]
    if strange or not own:
        has = f"has {', '.join(strange)}, which nothing calls" if strange else "has no method that is called"
        raise SettingsError(f"'{name}' {has}; a callback is a class with {_either(known)}", "callbacks")
    return found


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def call_all(callbacks: Sequence[Any], event: Event, state: State) -> bool:
    """Call what each callback has for `event`; return whether one asks to stop, whatever later ones say.

    Raises RunError, with the file and line, where one fails.
    """
    asked = state.stop
    for callback in callbacks:
        method = getattr(callback, event, None)
        if method is not None:
            with failures_named(f"callback {type(callback).__name__}.{event}"):
                method(state)
            asked = state.stop = asked or state.stop
    return asked
