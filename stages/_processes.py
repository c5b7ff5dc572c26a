"""How the processes of a stage were started, as accelerate tells them."""

from __future__ import annotations

import os
from typing import Any

from rlhf.errors import SettingsError

__all__ = ["end", "process_state", "refuse_sharding"]

# What `accelerate launch` sets for ways of training that cut a model into parts.
_SHARDING = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}


def process_state() -> Any:
    """Say how accelerate sees the processes; an ``Accelerator()`` made after it shares it."""
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    several_on_cpu = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.accelerator.is_available()
    if several_on_cpu:
        # Unless it is told, accelerate takes several processes without a GPU for as many single ones.
        os.environ["ACCELERATE_USE_CPU"] = "true"
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))


def refuse_sharding() -> None:
    """Refuse ways of training in which no process holds a whole model.

    Sampling, scores and saved weights would be those of a part of it, and nothing here is tested with them.

    Raises:
        SettingsError: one of them was asked for.

    """
    for name, what in _SHARDING.items():
        if os.environ.get(name, "false").lower() in ("true", "1"):
            raise SettingsError(
                f"the accelerate config asks for {what}, which cuts models into parts; here each process "
                "holds whole models (data parallel): take one of configs/accelerate, and LoRA or "
                "gradient_checkpointing where memory is short"
            )


def end(accelerator: Any) -> None:
    """Close trackers and, on GPUs, the process group.

    A gloo group is left to the end of the process: torch 2.13 may deadlock while it takes one down (the
    destructor holds the GIL and waits for a thread of gloo that needs it).
    """
    if accelerator.device.type == "cpu":
        for tracker in accelerator.trackers:
            tracker.finish()
    else:
        accelerator.end_training()
