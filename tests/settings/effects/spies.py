"""What happens inside a run and leaves no trace in its folder: loads, forward passes, optimizer steps."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
import torch
import transformers
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers.models.gpt2.modeling_gpt2 import GPT2Attention

LOADERS = ("AutoTokenizer", "AutoConfig", "AutoModelForCausalLM", "AutoModelForSequenceClassification")


class Load(NamedTuple):
    """A call of `from_pretrained` by our code."""

    loader: str
    path: str
    options: dict[str, Any]


class Pass(NamedTuple):
    """A forward pass through the first layer of a GPT-2."""

    trains: bool  # with gradient
    rows: int
    tokens: int  # 1: a step of the generation from its cache
    dtype: torch.dtype  # of its products: autocast's, else the weights'


class Generate(NamedTuple):
    """A call of the library's `generate`."""

    rows: int
    stops: tuple[int, ...]  # tokens that end a response


class Step(NamedTuple):
    """A step of an optimizer, as the optimizer sees it: the gradient is clipped already."""

    optimizer: int  # 0, 1, ... in the order of their first step
    rate: float
    weight_decay: float  # of the group of parameters that has most
    epsilon: float
    beta2: float
    grad_norm: float
    num_parameters: int


class Move(NamedTuple):
    """A frozen or trained model is put on a device, also on the one where it is."""

    model: str  # its class
    place: str


@dataclass
class Notes:
    """What the spies saw in one run."""

    loads: list[Load] = field(default_factory=list)
    passes: list[Pass] = field(default_factory=list)
    generates: list[Generate] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)


@contextmanager
def spying() -> Iterator[Notes]:
    """Note what happens until the end of the block."""
    notes = Notes()
    optimizers: dict[int, int] = {}

    def note_step(optimizer: Any, *_: Any) -> None:
        number = optimizers.setdefault(id(optimizer), len(optimizers))
        notes.steps.append(_step(number, optimizer.param_groups))

    with pytest.MonkeyPatch.context() as patch:
        for name in LOADERS:
            _spy_on_loader(patch, notes, name)
        _spy_on_passes(patch, notes)
        _spy_on_generate(patch, notes)
        _spy_on_moves(patch, notes)
        hook = register_optimizer_step_pre_hook(note_step)
        try:
            yield notes
        finally:
            hook.remove()


def _step(number: int, groups: list[dict[str, Any]]) -> Step:
    trained = [parameter for group in groups for parameter in group["params"]]
    norms = torch.stack([parameter.grad.norm() for parameter in trained if parameter.grad is not None])
    return Step(
        number,
        rate=float(groups[0]["lr"]),
        weight_decay=max(group["weight_decay"] for group in groups),
        epsilon=groups[0]["eps"],
        beta2=groups[0]["betas"][1],
        grad_norm=float(norms.norm()),
        num_parameters=sum(parameter.numel() for parameter in trained),
    )


def _spy_on_loader(patch: pytest.MonkeyPatch, notes: Notes, name: str) -> None:
    loader: Any = getattr(transformers, name)
    original = loader.from_pretrained

    def from_pretrained(path: Any, *arguments: Any, **options: Any) -> Any:
        # The library's loaders call each other; what they are told then is its own affair.
        if sys._getframe(1).f_globals["__name__"].startswith("rlhf."):
            notes.loads.append(Load(name, str(path), dict(options)))
        return original(path, *arguments, **options)

    patch.setattr(loader, "from_pretrained", from_pretrained)


def _spy_on_passes(patch: pytest.MonkeyPatch, notes: Notes) -> None:
    original = GPT2Attention.forward  # not the block's: the library has wrapped that, to compute it again

    def forward(self: Any, hidden_states: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        if self.layer_idx == 0:
            kind = hidden_states.device.type
            autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
            rows, tokens = hidden_states.shape[:2]
            dtype = autocast or next(self.parameters()).dtype
            notes.passes.append(Pass(torch.is_grad_enabled(), rows, tokens, dtype))
        return original(self, hidden_states, *arguments, **options)

    patch.setattr(GPT2Attention, "forward", forward)


def _spy_on_generate(patch: pytest.MonkeyPatch, notes: Notes) -> None:
    original = transformers.GenerationMixin.generate

    def generate(self: Any, *arguments: Any, **options: Any) -> Any:
        stops = options["generation_config"].eos_token_id
        notes.generates.append(Generate(len(options["input_ids"]), tuple(stops)))
        return original(self, *arguments, **options)

    patch.setattr(transformers.GenerationMixin, "generate", generate)


def _spy_on_moves(patch: pytest.MonkeyPatch, notes: Notes) -> None:
    original = transformers.PreTrainedModel.to

    def to(self: Any, *arguments: Any, **options: Any) -> Any:
        # The library moves models too; that is its own affair.
        if sys._getframe(1).f_globals["__name__"].startswith("rlhf."):
            notes.moves.append(Move(type(self).__name__, str(arguments[0])))
        return original(self, *arguments, **options)

    patch.setattr(transformers.PreTrainedModel, "to", to)
