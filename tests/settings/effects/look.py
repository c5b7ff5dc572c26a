"""What the entries look at in a run: functions of `Seen`, and functions that make them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file

from tests.settings.effects.seen import Seen

Look = Callable[[Seen], Any]


def named(name: str, look: Look) -> Look:
    look.__name__ = name
    return look


# The folder of the run.


def where(seen: Seen) -> list[str]:
    """Where the run's files are."""
    return sorted(str(file.parent.relative_to(seen.desk)) for file in seen.desk.rglob("provenance.json"))


def title(seen: Seen) -> str:
    """The heading of the model's card."""
    return next(line for line in seen.read("README.md").splitlines() if line.startswith("# "))


def resumed_from(seen: Seen) -> Any:
    return seen.provenance["resumed_from"]


def has_previous(seen: Seen) -> bool:
    return seen.folder.with_name(f"{seen.stage}.previous").is_dir()


def has_tracked(seen: Seen) -> bool:
    """Whether tensorboard has written events."""
    return any(seen.desk.rglob("events.out.tfevents*"))


def checkpoints(seen: Seen) -> list[str]:
    return sorted(folder.name for folder in (seen.folder / "checkpoints").glob("step_*"))


def saved_files(seen: Seen) -> list[str]:
    return sorted(file.name for file in seen.folder.iterdir() if file.suffix in (".safetensors", ".json"))


def weights(seen: Seen) -> dict[str, list[float]]:
    return seen.weights


def weights_norm(seen: Seen) -> float:
    return math.sqrt(sum(value**2 for values in seen.weights.values() for value in values))


def way_from_start(seen: Seen) -> float:
    """How far the saved weights are from those that the policy started with."""
    settings = yaml.safe_load(seen.read("config.yaml"))
    start, end = load_file(Path(settings["policy"]["path"]) / "model.safetensors"), seen.tensors
    assert start.keys() == end.keys()
    return math.sqrt(sum(float((end[name] - value).square().sum()) for name, value in start.items()))


def saved_types(seen: Seen) -> set[str]:
    return seen.dtypes


def end_token(seen: Seen) -> str:
    """The end token that the saved tokenizer names."""
    return str(json.loads(seen.read("tokenizer_config.json"))["eos_token"])


def chat_template(seen: Seen) -> str:
    return seen.read("chat_template.jinja")


def model_config(name: str) -> Look:
    return named(f"config.json {name}", lambda seen: json.loads(seen.read("config.json"))[name])


def summary(name: str) -> Look:
    return named(f"summary {name}", lambda seen: seen.summary.get(name))


def counted(code: str) -> Look:
    """How often rendering cut or dropped something."""
    return named(f"count of {code}", lambda seen: seen.summary["counts"].get(code, 0))


def metric(name: str) -> Look:
    return named(name, lambda seen: seen.metrics(name))


def first(name: str) -> Look:
    return named(f"first {name}", lambda seen: seen.metrics(name)[0])


def last(name: str) -> Look:
    return named(f"last {name}", lambda seen: seen.metrics(name)[-1])


def steps_of(name: str) -> Look:
    return named(f"steps with {name}", lambda seen: seen.steps_of(name))


def num_samples(**wanted: Any) -> Look:
    """Rows of samples.jsonl that hold these values."""
    return named(
        "number of samples",
        lambda seen: sum(wanted.items() <= row.items() for row in seen.samples),
    )


def responses(seen: Seen) -> list[str]:
    return [row["response"] for row in seen.samples]


def said(pattern: str) -> Look:
    """What the run printed that matches."""
    return named(f"what it says of {pattern}", lambda seen: re.findall(pattern, seen.said))


# What was noted while it went.


def num_steps(seen: Seen) -> int:
    """Steps of the first optimizer."""
    return sum(step.optimizer == 0 for step in seen.notes.steps)


def rates_of(optimizer: int) -> Look:
    """The learning rates that an optimizer stepped with."""
    return named(
        f"learning rates of optimizer {optimizer}",
        lambda seen: [step.rate for step in seen.notes.steps if step.optimizer == optimizer],
    )


rates = rates_of(0)


def epsilons(seen: Seen) -> set[float]:
    return {step.epsilon for step in seen.notes.steps}


def betas(seen: Seen) -> set[float]:
    return {step.beta2 for step in seen.notes.steps}


def largest_gradient(seen: Seen) -> float:
    """The largest norm of a gradient that an optimizer stepped with, of all optimizers."""
    return max(step.grad_norm for step in seen.notes.steps)


def trained_parameters(seen: Seen) -> int:
    return max(step.num_parameters for step in seen.notes.steps if step.optimizer == 0)


def training_passes(seen: Seen) -> int:
    return sum(one.trains for one in seen.notes.passes)


def training_rows(seen: Seen) -> int:
    """The most sequences of a forward pass in training."""
    return max(one.rows for one in seen.notes.passes if one.trains)


def training_tokens(seen: Seen) -> int:
    """All tokens, padding included, that went through the model in training."""
    return sum(one.rows * one.tokens for one in seen.notes.passes if one.trains)


def num_gaps(seen: Seen) -> int:
    """How many tokens of the samples were hidden."""
    return sum(row["prompt"].count("[MASK]") for row in seen.samples)


def longest_pass(seen: Seen) -> int:
    return max(one.tokens for one in seen.notes.passes)


def generated_rows(seen: Seen) -> int:
    """The most responses that were sampled together."""
    return max(one.rows for one in seen.notes.generates)


def stop_tokens(seen: Seen) -> int:
    """How many different tokens end a sampled response, the most of all models."""
    return max(len(set(one.stops)) for one in seen.notes.generates)


def training_types(seen: Seen) -> set[str]:
    """The types of the matrix products in training."""
    return {str(one.dtype).removeprefix("torch.") for one in seen.notes.passes if one.trains}


def all_types(seen: Seen) -> set[str]:
    return {str(one.dtype).removeprefix("torch.") for one in seen.notes.passes}


def longest_training_pass(seen: Seen) -> int:
    return max(one.tokens for one in seen.notes.passes if one.trains)


def num_generates(seen: Seen) -> int:
    return len(seen.notes.generates)


def moves_of(model: str) -> Look:
    """How often a model of this class was put somewhere."""
    return named(
        f"moves of {model}",
        lambda seen: sum(move.model == model for move in seen.notes.moves),
    )


def loads_of_weights(folder: str) -> Look:
    """How often the weights of a folder of that name were loaded, not how often a check opened it without."""
    return named(
        f"loads of the weights of {folder}",
        lambda seen: sum(
            Path(load.path).name == folder
            and load.loader.startswith("AutoModel")
            and load.options.get("device_map") != "meta"
            for load in seen.notes.loads
        ),
    )


def told_loaders(option: str, folder: str) -> Look:
    """What `from_pretrained` was told by our code, each time it loaded from a folder of that name."""
    return named(
        f"{option} of the loads of {folder}",
        lambda seen: [
            (load.loader, load.options.get(option))
            for load in seen.notes.loads
            if Path(load.path).name == folder
        ],
    )


def also(*looks: Look) -> Look:
    """Several things at once."""
    return named(", ".join(look.__name__ for look in looks), lambda seen: [look(seen) for look in looks])


def every_load_gets(value: Any) -> Callable[[Any, Any], bool]:
    """All loads are told the value, and none of them is in the baseline."""
    return lambda before, after: (
        bool(after)
        and [loader for loader, _ in after] == [loader for loader, _ in before]
        and all(told == value for _, told in after)
        and all(told != value for _, told in before)
    )
