"""Save all that decides how a run goes on; find, verify and restore it.

A checkpoint holds the trained weights of policy and critic, both optimizers, every process's random states,
the KL controller, the moments of the scores, the averaged weights, what was warned of, and the counters. What
follows from seed and counters (order of the prompts, sampling noise, learning rates) is not in it.
`RunFolder` adds a list of the files, by which it recognises damage.
"""

from __future__ import annotations

import contextlib
import random
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import nn

from rlhf.errors import RunError
from rlhf.maths.moments import RunningMoments
from rlhf.models.saving import unwrap_model
from rlhf.ppo.averaged import put_in_place
from rlhf.ppo.parts import Parts
from rlhf.runs.existing import find_checkpoints
from rlhf.runs.files import read_json, write_folder, write_json
from rlhf.runs.folder import RunFolder
from rlhf.runs.manifest import find_damage, write_manifest

COUNTERS, MODELS, OPTIMIZERS = "progress.json", "models.pt", "optimizers.pt"


@dataclass
class Progress:
    """How far a run has come."""

    update: int = 0  # updates done
    num_prompts: int = 0  # prompts taken, over all processes: the position in the order of the data
    num_episodes: int = 0  # responses sampled, over all processes
    num_optimizer_steps: int = 0
    ended: bool = False  # a callback asked for the end before the last update
    best_update: int | None = None  # whose weights are kept as the best so far
    best_objective: float | None = None
    first_evaluation: dict[str, float] | None = None  # before the first update
    best_evaluation: dict[str, float] | None = None
    last_evaluation: dict[str, float] | None = None
    last_evaluated: int | None = None  # the update that it is of


def save_checkpoint(run: RunFolder, parts: Parts, progress: Progress, keep: int) -> None:
    """Write `checkpoints/step_<update>` and delete all but the newest `keep`; call it on every process.

    Raises OSError where the disk is full or not writable; what was saved before stays.
    """
    accelerator = parts.accelerator
    with run.checkpoint(progress.update) as folder:
        torch.save(random_states(), folder / f"random_{accelerator.process_index}.pt")
        if run.is_main:
            models = {"learner": trained_weights(parts.learner), "average": parts.average}
            torch.save(models, folder / MODELS)
            critic = parts.critic_optimizer
            optimizers = {
                "policy": parts.policy_optimizer.state_dict(),
                "critic": critic.state_dict() if critic is not None else None,
                "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
            }
            torch.save(optimizers, folder / OPTIMIZERS)
            counters = {
                "progress": asdict(progress),
                "kl_controller": parts.kl_controller.state_dict(),
                "watch": parts.watch.state_dict(),
                "moments": _state_of(parts.moments),
                "evaluation_moments": _state_of(parts.evaluation_moments),
            }
            write_json(folder / COUNTERS, counters)
    run.prune_checkpoints(keep)
    if run.is_main:
        _prune_best(run.path, progress)


def restore_checkpoint(run: RunFolder, parts: Parts) -> Progress:
    """Go on from the checkpoint `run.resume_from`; metrics and samples are cut back to it."""
    folder = run.resume_from
    assert folder is not None
    models = torch.load(folder / MODELS, map_location="cpu", weights_only=True)
    load_trained_weights(parts.learner, models["learner"])
    if parts.average is not None:
        put_in_place(parts.average, models["average"])
    optimizers = torch.load(folder / OPTIMIZERS, map_location="cpu", weights_only=True)
    parts.policy_optimizer.load_state_dict(optimizers["policy"])
    if parts.critic_optimizer is not None:
        parts.critic_optimizer.load_state_dict(optimizers["critic"])
    if parts.accelerator.scaler is not None and optimizers["scaler"] is not None:
        parts.accelerator.scaler.load_state_dict(optimizers["scaler"])
    _restore_random_states(folder / f"random_{parts.accelerator.process_index}.pt")
    counters = read_json(folder / COUNTERS)
    parts.kl_controller.load_state_dict(counters["kl_controller"])
    parts.watch.load_state_dict(counters["watch"])
    for name in ("moments", "evaluation_moments"):
        moments: RunningMoments | None = getattr(parts, name)
        if moments is not None:
            moments.load_state_dict(counters[name])
    progress = Progress(**counters["progress"])
    for file in (run.metrics, run.samples, run.warnings):
        file.cut(lambda row: row["step"] <= progress.update)
    return progress


def _state_of(moments: RunningMoments | None) -> dict[str, float] | None:
    return None if moments is None else moments.state_dict()


def trained_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the trained parameters by name, without wrappers' prefixes; each tied one once."""
    inner: nn.Module = unwrap_model(model)
    return {name: value.detach() for name, value in inner.named_parameters() if value.requires_grad}


@torch.no_grad()
def load_trained_weights(model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Copy saved parameters into the model's. Raises RunError where names or shapes differ."""
    own = trained_weights(model)
    differ = sorted(
        name
        for name in {*own, *weights}
        if name not in own or name not in weights or own[name].shape != weights[name].shape
    )
    if differ:
        raise RunError(
            f"the saved weights are of another model ({len(differ)} of {len(own)} tensors differ, "
            f"e.g. {differ[0]}); run.resume=false starts anew"
        )
    for name, value in weights.items():
        own[name].copy_(value)


def random_states() -> dict[str, Any]:
    """Return the states of all global generators of this process, in types that `torch.load` reads safely."""
    version, state, gauss = random.getstate()
    kind, keys, *rest = numpy.random.get_state(legacy=True)
    return {
        "python": [version, list(state), gauss],
        "numpy": [kind, [int(key) for key in keys], *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Set the global generators of this process to saved states."""
    version, state, gauss = states["python"]
    random.setstate((version, tuple(state), gauss))
    kind, keys, *rest = states["numpy"]
    numpy.random.set_state((kind, numpy.array(keys, dtype=numpy.uint32), *rest))
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())


def _restore_random_states(file: Path) -> None:
    """Set this process's generators; a process that the saved run did not have keeps its own."""
    if file.is_file():
        set_random_states(torch.load(file, map_location="cpu", weights_only=True))


def best_folder(run_path: Path, update: int) -> Path:
    """Return where the best weights of an update are kept."""
    return run_path / "checkpoints" / f"best_{update:06d}"


def save_best(run: RunFolder, parts: Parts, progress: Progress) -> None:
    """Keep the policy's weights, as they are now, as those of `progress.best_update`; on the main process.

    Best weights of before go, unless a checkpoint that a run may go on from speaks of them.
    """
    assert progress.best_update is not None
    weights = unwrap_model(parts.learner).policy_weights()
    with write_folder(best_folder(run.path, progress.best_update)) as folder:
        torch.save({name: value.detach() for name, value in weights.items()}, folder / MODELS)
        write_manifest(folder)
    _prune_best(run.path, progress)


def load_best(run: RunFolder, parts: Parts, update: int) -> None:
    """Put the best weights into the policy. Raises RunError where they are missing or damaged."""
    folder = best_folder(run.path, update)
    damage = find_damage(folder)
    if damage is not None:
        raise RunError(
            f"the best weights in {folder} are damaged: {damage}; "
            "run.resume=true checkpoint.export=last saves the last"
        )
    weights = torch.load(folder / MODELS, map_location="cpu", weights_only=True)
    put_in_place(unwrap_model(parts.learner).policy_weights(), weights)


def _prune_best(run_path: Path, progress: Progress) -> None:
    """Delete best weights that no kept checkpoint and not the running state speaks of."""
    wanted = {progress.best_update}
    for folder in find_checkpoints(run_path):
        with contextlib.suppress(OSError, ValueError):  # damaged: it is never gone on from
            wanted.add(read_json(folder / COUNTERS)["progress"]["best_update"])
    for folder in (run_path / "checkpoints").glob("best_[0-9]*"):
        if int(folder.name[5:]) not in wanted:
            shutil.rmtree(folder)
