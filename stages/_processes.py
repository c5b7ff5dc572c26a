"""How the processes of a stage were started, as accelerate tells them."""

from __future__ import annotations

import os
from typing import Any

from rlhf.errors import SettingsError

__all__ = ["check_precision", "end", "process_state", "refuse_sharding"]

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


def check_precision(device: str, wanted: str | None, setting: str) -> None:
    """Refuse float16 on a CPU, where accelerate would train in float32 without a word.

    Args:
        device: type of the device, "cpu" or another.
        wanted: mixed_precision of the settings; None is what `accelerate launch` says.
        setting: its dotted key.

    Raises:
        SettingsError: it is fp16 and the device is a CPU.

    """
    told = wanted or os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if device == "cpu" and told == "fp16":
        whose = setting if wanted else f"{setting} is null, and the accelerate config's mixed_precision"
        raise SettingsError(f"{whose} is fp16, which needs a GPU; on a CPU set {setting}=bf16 or no")


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
