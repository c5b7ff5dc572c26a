"""Ties `transformers.Trainer` to a run's folder, and its guards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from rlhf.errors import RunError
from rlhf.models.generation_config import own_generation_config
from rlhf.models.quiet import quiet_library
from rlhf.runs import console
from rlhf.runs.folder import RunFolder
from rlhf.training.order import LengthBatchSampler
from rlhf.training.plan import TrainingPlan, build_scheduler

__all__ = ["Evaluate", "PlannedTrainer", "check_finite"]

Evaluate = Callable[[], dict[str, Any]]


class PlannedTrainer:
    """Mixin before a `transformers.Trainer`: our rates, data order and checkpoints, and a finite loss.

    Args:
        plan: the schedule and the seed.
        section: the section of the YAML that errors name, and the group of the metrics.
        run: the folder that metrics and checkpoints go to, and that says where to go on from.
        lengths: tokens of each training element, in the order of the training set, or else what orders them.
        evaluate: called every `plan.evaluate_every` steps; what it returns is recorded.
        batches_in_pool: among how many batches elements of similar length are looked for.
        options: everything that the trainer itself takes.

    """

    def __init__(
        self,
        *,
        plan: TrainingPlan,
        section: str,
        run: RunFolder,
        lengths: Sequence[Any],
        evaluate: Evaluate | None,
        batches_in_pool: int = 16,
        **options: Any,
    ) -> None:
        self.plan = plan
        self.section = section
        self.run = run
        self.sampler = LengthBatchSampler(
            lengths, options["args"].per_device_train_batch_size, plan.seed, batches_in_pool
        )
        # One process would otherwise spread its batches over all GPUs it sees, and multiply them by these.
        options["args"]._n_gpu = min(options["args"].n_gpu, 1)
        super().__init__(**options)
        trainer: Any = self
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(RunCallback(section, run, self.sampler, evaluate, plan.evaluate_every))

    def fit(self) -> int:
        """Train, or go on; returns the number of optimizer steps, the model without its precision wrapper."""
        trainer: Any = self
        # SIGTERM reaches processes at different steps: only one alone can answer it with a checkpoint.
        self.run.handles_stop = trainer.accelerator.num_processes == 1
        with quiet_library():
            trainer.train(resume_from_checkpoint=str(self.run.resume_from) if self.run.resume_from else None)
        self.run.handles_stop = False
        trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
        return int(trainer.state.global_step)

    def _get_train_sampler(self, *_: Any, **__: Any) -> LengthBatchSampler:
        return self.sampler

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Build the plan's schedule in place of the library's."""
        trainer: Any = self
        if trainer.lr_scheduler is None:
            trainer.lr_scheduler = build_scheduler(
                optimizer or trainer.optimizer, self.plan, num_training_steps
            )
            trainer._created_lr_scheduler = True
        return trainer.lr_scheduler

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Refuse a loss that is no number before the optimizer sees its gradient."""
        trainer: Any = self
        loss: torch.Tensor = super().training_step(*args, **kwargs)  # type: ignore[misc]
        check_finite(loss, trainer.state, self.section, trainer._get_learning_rate())
        return loss

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write no card into checkpoints; the finished model has one of ours."""

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Let the library write tensors of several names, an encoder-decoder's embeddings, as copies.

        Of its own models it writes them once; inside a module of ours safetensors refuses them. Loaded, they
        are one tensor again.
        """
        trainer: Any = self
        if not hasattr(trainer.model, "save_pretrained"):
            state_dict = _apart(trainer.model.state_dict() if state_dict is None else state_dict)
        super()._save(output_dir, state_dict)  # type: ignore[misc]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Let the library write into a folder that appears under its name when it is whole."""
        trainer: Any = self
        goal = trainer.args.output_dir
        with self.run.checkpoint(trainer.state.global_step) as partial:
            trainer.args.output_dir = str(partial)
            try:
                with own_generation_config(trainer.model):
                    super()._save_checkpoint(model, trial)  # type: ignore[misc]
            finally:
                trainer.args.output_dir = goal
            trainer.accelerator.wait_for_everyone()
            if self.run.is_main:
                _lift(partial / f"checkpoint-{trainer.state.global_step}")
        self.run.prune_checkpoints(self.plan.keep_checkpoints)


def _apart(state_dict: dict[str, Any]) -> dict[str, Any]:
    """Return tensors of which those that are another one under a second name are copies of it."""
    seen = set()
    found = {}
    for name, value in state_dict.items():
        place = (value.device, value.data_ptr())
        found[name] = value.clone() if place in seen else value
        seen.add(place)
    return found


class RunCallback(TrainerCallback):
    """Tie a trainer to the folder of its run: our names, evaluation on time, a bar, a clean stop."""

    def __init__(
        self,
        group: str,
        run: RunFolder,
        sampler: LengthBatchSampler,
        evaluate: Evaluate | None,
        every: int | None,
    ) -> None:
        self.group = group
        self.run = run
        self.sampler = sampler
        self.evaluate = evaluate
        self.every = every
        self.bar: console.Progress | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the bar; on resume drop what was measured after the checkpoint."""
        begun = state.global_step
        self.run.metrics.cut(lambda row: row.get("step", 0) <= begun)
        self.bar = console.progress(state.max_steps, self.group, done=begun)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Make the order of the data a function of the epoch, also after a resume."""
        self.sampler.set_epoch(int((state.epoch or 0.0) + 1e-6))

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Record loss, learning rate and gradient norm; the closing summary has none and is left out."""
        names = {"loss": "loss", "grad_norm": "gradient_norm", "learning_rate": "learning_rate"}
        found = {ours: float(logs[theirs]) for theirs, ours in names.items() if logs and theirs in logs}
        if "loss" in found:
            self._record(state, found)
            if self.bar is not None:
                self.bar.update(0, loss=found["loss"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate every so many optimizer steps; the last step is left to whoever called the trainer."""
        if self.bar is not None:
            self.bar.update(1)
        if self.run.stop_requested:
            control.should_save = True
        due = self.every and state.global_step % self.every == 0 and state.global_step < state.max_steps
        if self.evaluate is not None and due:
            self._record(state, self.evaluate())

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop after the checkpoint that SIGTERM asked for."""
        if self.run.stop_requested:
            raise KeyboardInterrupt

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()

    def _record(self, state: Any, numbers: dict[str, Any]) -> None:
        progress = {
            "step": state.global_step,
            "num_steps": state.max_steps,
            "epoch": round(state.epoch or 0.0, 4),
        }
        self.run.metrics.append(
            {**progress, **{f"{self.group}/{name}": value for name, value in numbers.items()}}
        )


def check_finite(loss: torch.Tensor, state: Any, section: str, learning_rate: float | None) -> None:
    """Stop where the loss is no number any more, before the optimizer spoils the weights with it.

    Raises:
        RunError: says the step, the loss, the learning rate and what to change.

    """
    if torch.isfinite(loss).all():
        return
    losses = [entry["loss"] for entry in state.log_history[-3:] if "loss" in entry]
    earlier = f", last recorded losses {losses}" if losses else ""
    rate = f" (learning rate {learning_rate:.3g}{earlier})" if learning_rate is not None else ""
    remedy = f"lower {section}.learning_rate or {section}.max_grad_norm, and look at the data of this step"
    if state.global_step == 0:  # nothing was learnt yet, so no rate is at fault
        remedy = (
            "the model came with weights that are not finite, or cannot compute in this precision: look at it"
        )
    raise RunError(f"step {state.global_step + 1}: loss is {loss.detach().mean().item()}{rate}; {remedy}")


def _lift(folder: Path) -> None:
    """Move what is in a folder one level up."""
    for path in folder.iterdir():
        path.rename(folder.parent / path.name)
    folder.rmdir()
