"""What pre-training, SFT and reward training share: the plan of a run on `transformers.Trainer` and its guards."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.data import Sampler
from transformers import PrinterCallback, TrainerCallback

from rlhf.errors import RunError, SettingsError
from rlhf.models.quiet import quiet_library

__all__ = [
    "LengthBatchSampler",
    "PlannedTrainer",
    "RecordingCallback",
    "TrainingPlan",
    "build_scheduler",
    "check_finite",
    "find_checkpoint",
    "learning_rate_factor",
    "trainer_arguments",
]

Schedule = Literal["cosine", "linear", "constant"]
Record = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class TrainingPlan:
    """How long, how fast and in what portions to train; the stages' YAML files explain each number.

    Sizes are global: `batch_size` elements an optimizer step over all processes, `microbatch_size` elements in one
    forward pass of one process.
    """

    epochs: float
    learning_rate: float
    batch_size: int
    microbatch_size: int
    seed: int
    schedule: Schedule = "cosine"
    final_learning_rate_fraction: float = 0.0
    warmup_fraction: float = 0.0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    log_every: int = 10
    evaluate_every: int | None = None
    checkpoint_every: int | None = None
    keep_checkpoints: int = 1
    gradient_checkpointing: bool = False
    mixed_precision: Literal["no", "bf16", "fp16"] | None = None  # None: what `accelerate launch` was told
    trackers: tuple[str, ...] = ()
    name: str | None = None


def trainer_arguments(plan: TrainingPlan, folder: Path, num_elements: int, section: str) -> dict[str, Any]:
    """Build the keyword arguments of `TrainingArguments` (and its subclasses) for a plan.

    Args:
        plan: see `TrainingPlan`.
        folder: where checkpoints go.
        num_elements: size of the training set.
        section: the section of the YAML that errors name, e.g. "sft".

    Raises:
        SettingsError: the sizes do not divide, or the training set is smaller than a batch.
    """
    from accelerate import PartialState

    num_processes = PartialState().num_processes
    in_one_pass = plan.microbatch_size * num_processes
    if plan.batch_size % in_one_pass:
        raise SettingsError(
            f"{plan.batch_size} is no multiple of {section}.microbatch_size x processes "
            f"({plan.microbatch_size} x {num_processes})",
            where=f"{section}.batch_size",
        )
    if num_elements < plan.batch_size:
        raise SettingsError(
            f"the training set has {num_elements} usable elements, fewer than one batch of {plan.batch_size}; "
            f"lower {section}.batch_size or add data",
            where=f"{section}.batch_size",
        )
    return {
        "output_dir": str(folder),
        "seed": plan.seed,
        "data_seed": plan.seed,
        "num_train_epochs": plan.epochs,
        "per_device_train_batch_size": plan.microbatch_size,
        "per_device_eval_batch_size": plan.microbatch_size,
        "gradient_accumulation_steps": plan.batch_size // in_one_pass,
        "learning_rate": plan.learning_rate,
        "weight_decay": plan.weight_decay,
        "max_grad_norm": plan.max_grad_norm,
        "activation_checkpointing": plan.gradient_checkpointing,
        "bf16": plan.mixed_precision == "bf16",
        "fp16": plan.mixed_precision == "fp16",
        "logging_steps": plan.log_every,
        "logging_nan_inf_filter": False,  # it would hide what must stop the run
        "save_strategy": "steps" if plan.checkpoint_every else "no",
        "save_steps": plan.checkpoint_every or 500,
        "save_total_limit": plan.keep_checkpoints,
        "report_to": list(plan.trackers) or "none",
        "run_name": plan.name,
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "ddp_find_unused_parameters": False,
    }


def learning_rate_factor(
    step: int, *, num_steps: int, warmup_fraction: float, schedule: Schedule, final_fraction: float
) -> float:
    """Compute by what the learning rate is multiplied at an optimizer step.

    It rises from 1/warm-up steps to 1 and falls to `final_fraction`, which it reaches after the last step.

    >>> [learning_rate_factor(s, num_steps=4, warmup_fraction=0.5, schedule="linear", final_fraction=0.0) for s in range(5)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    warmup_steps = math.ceil(num_steps * warmup_fraction)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    done = min(1.0, (step - warmup_steps) / max(1, num_steps - warmup_steps))
    shape = 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    return final_fraction + (1.0 - final_fraction) * shape


def build_scheduler(optimizer: Any, plan: TrainingPlan, num_steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Wrap `learning_rate_factor` for an optimizer."""
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: learning_rate_factor(
            step,
            num_steps=num_steps,
            warmup_fraction=plan.warmup_fraction,
            schedule=plan.schedule,
            final_fraction=plan.final_learning_rate_fraction,
        ),
    )


class LengthBatchSampler(Sampler[int]):
    """Draw a random order in which every `batch_size` consecutive elements are of similar length.

    Padding costs as much as text: batches of mixed lengths waste about half of the work. Elements are shuffled, sorted
    by length within pools of many batches, cut into batches, and the batches are shuffled, so that neither a pool nor
    the end of an epoch is of one length. The order depends on the seed and the epoch alone (not on any global
    state), which is what makes a resumed run go on exactly.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, batches_in_pool: int = 16) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.pool_size = batch_size * batches_in_pool
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose which epoch's order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = random.Random(f"{self.seed}/{self.epoch}")
        order = list(range(len(self.lengths)))
        generator.shuffle(order)
        batches: list[list[int]] = []
        for start in range(0, len(order), self.pool_size):
            pool = sorted(order[start : start + self.pool_size], key=lambda i: self.lengths[i])
            batches.extend(pool[at : at + self.batch_size] for at in range(0, len(pool), self.batch_size))
        ragged = batches.pop() if len(batches[-1]) < self.batch_size else []
        generator.shuffle(batches)
        return iter([i for batch in batches for i in batch] + ragged)


class RecordingCallback(TrainerCallback):
    """Hand the trainer's numbers to the run's folder under our names, and evaluate on time."""

    def __init__(
        self,
        group: str,
        record: Record,
        evaluate: Callable[[], dict[str, Any]] | None = None,
        every: int | None = None,
    ) -> None:
        self.group = group
        self.record = record
        self.evaluate = evaluate
        self.every = every

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Record loss, learning rate and gradient norm."""
        logs = logs or {}
        if "loss" not in logs:
            return  # the library's closing summary
        names = {"loss": "loss", "grad_norm": "gradient_norm", "learning_rate": "learning_rate"}
        numbers = {f"{self.group}/{ours}": float(logs[theirs]) for theirs, ours in names.items() if theirs in logs}
        self._record(state, numbers)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate every so many optimizer steps; the last step is left to whoever called the trainer."""
        if self.evaluate is None or not self.every or state.global_step >= state.max_steps:
            return
        if state.global_step % self.every == 0:
            self._record(state, self.evaluate())

    def _record(self, state: Any, numbers: dict[str, Any]) -> None:
        progress = {"step": state.global_step, "num_steps": state.max_steps, "epoch": round(state.epoch or 0.0, 4)}
        self.record({**progress, **numbers})


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
    raise RunError(
        f"step {state.global_step + 1}: loss is {loss.detach().mean().item()}{rate}; "
        f"lower {section}.learning_rate or {section}.max_grad_norm, and look at the data of this step"
    )


def find_checkpoint(folder: Path) -> tuple[Path | None, list[Path]]:
    """Find the newest whole checkpoint.

    Returns:
        Its path (None where there is none), and newer ones that were left out because they are damaged.
    """
    found = [path for path in folder.glob("checkpoint-*") if path.name.split("-")[-1].isdigit()]
    damaged: list[Path] = []
    for path in sorted(found, key=lambda path: int(path.name.split("-")[-1]), reverse=True):
        if _is_whole(path):
            return path, damaged
        damaged.append(path)
    return None, damaged


def _is_whole(checkpoint: Path) -> bool:
    """A killed writer leaves no trainer state (it comes last) or a file cut short."""
    from safetensors import SafetensorError, safe_open

    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
        weights = list(checkpoint.glob("*.safetensors"))
        for file in weights:
            with safe_open(file, framework="pt"):
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    return bool(weights) and (checkpoint / "optimizer.pt").is_file() and (checkpoint / "scheduler.pt").is_file()


class PlannedTrainer:
    """Mixin before a `transformers.Trainer`: our learning rate, our order of the data, and a loss that must be finite.

    Args:
        plan: the schedule and the seed.
        section: the section of the YAML that errors name.
        lengths: tokens of each training element, in the order of the training set.
        options: everything that the trainer itself takes.
    """

    def __init__(self, *, plan: TrainingPlan, section: str, lengths: Sequence[int], **options: Any) -> None:
        self.plan = plan
        self.section = section
        self.sampler = LengthBatchSampler(lengths, plan.microbatch_size, plan.seed)
        super().__init__(**options)
        trainer: Any = self
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_EpochCallback(self.sampler))

    def _get_train_sampler(self, *_: Any, **__: Any) -> LengthBatchSampler:
        return self.sampler

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Build the plan's schedule in place of the library's."""
        trainer: Any = self
        if trainer.lr_scheduler is None:
            trainer.lr_scheduler = build_scheduler(optimizer or trainer.optimizer, self.plan, num_training_steps)
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

    def run(self, resume_from: Path | None) -> int:
        """Train, take the precision wrapper off the model again, and return the number of optimizer steps."""
        trainer: Any = self
        with quiet_library():
            trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
        trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
        return int(trainer.state.global_step)


class _EpochCallback(TrainerCallback):
    """Make the order of the data a function of the epoch, also after a resume."""

    def __init__(self, sampler: LengthBatchSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.sampler.set_epoch(int((state.epoch or 0.0) + 1e-6))
