"""The accelerate config that a launch is told to take: its mistakes are the user's, and said in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlhf.errors import SettingsError
from rlhf.settings.yaml_file import read_yaml, yaml_files_in

__all__ = ["read_accelerate_config"]

OURS = Path("configs/accelerate")
_OLD_KEYS = {"fp16", "dynamo_backend"}  # which accelerate still turns into those of today


def read_accelerate_config(path: str, num_processes: int | None = None) -> Any:
    """Read an accelerate config.

    Args:
        path: the file.
        num_processes: what the command line says, which goes before the file.

    Raises:
        SettingsError: it is missing or broken, or accelerate could not launch with it.
    """
    from accelerate.commands.config.config_args import load_config_from_file

    try:
        _check_place(path)
        if not path.endswith(".json"):
            _check_values(read_yaml(path), num_processes, path)
        config = load_config_from_file(path)
        if hasattr(config, "num_processes"):  # not so on SageMaker
            _check_quotes(config, num_processes, path)
        return config
    except SettingsError as error:
        raise SettingsError(f"{error}{_which_there_are()}") from None
    except Exception as error:  # accelerate's own ways to say no: ValueError, KeyError, TypeError, YAMLError
        said = str(error).splitlines() or [""]
        raise SettingsError(
            f"accelerate cannot use it ({type(error).__name__}: {said[0]}){_which_there_are()}", where=path
        ) from None


def _which_there_are() -> str:
    files = yaml_files_in(OURS)
    return f"; {OURS} has: {', '.join(files)}" if files else ""


def _check_place(path: str) -> None:
    # Before `read_yaml`, which would list the files beside it; those in `OURS` are the ones that help.
    if not Path(path).exists():
        raise SettingsError(f"the accelerate config {path} does not exist")
    if Path(path).is_dir():
        raise SettingsError(f"the accelerate config {path} is a folder; give a file")


def _check_values(values: dict[str, Any], num_processes: int | None, path: str) -> None:
    """Look at what a person writes by hand, before accelerate ends in a traceback over it."""
    if values.get("compute_environment", "LOCAL_MACHINE") != "LOCAL_MACHINE":
        return
    found = _unknown_keys(values) or _wrong_type(values, num_processes) or _wrong_value(values)
    if found:
        raise SettingsError(found, where=path)


def _check_quotes(config: Any, num_processes: int | None, path: str) -> None:
    """Accelerate reads YAML 1.1, in which a bare no is false, and falls over some of those."""
    counted = num_processes is not None or config.num_processes > 0  # then it takes false for one process
    for name, word, harmless in (("distributed_type", "NO", counted), ("mixed_precision", "no", False)):
        if getattr(config, name) is False and not harmless:
            raise SettingsError(
                f'{name} is no without quotes, which accelerate reads as false; write {name}: "{word}"',
                where=path,
            )


def _unknown_keys(values: dict[str, Any]) -> str | None:
    from accelerate.commands.config.config_args import ClusterConfig

    unknown = [str(key) for key in values if key not in {*ClusterConfig.__dataclass_fields__, *_OLD_KEYS}]
    if not unknown:
        return None
    if "distributed_type" not in values:
        return f"is no accelerate config: it has no distributed_type, but {', '.join(unknown)}"
    return f"{', '.join(unknown)} is not a setting of accelerate"


def _wrong_type(values: dict[str, Any], num_processes: int | None) -> str | None:
    from accelerate.utils import DistributedType

    allowed = [kind.value for kind in DistributedType]
    usual = '"NO" (one process), MULTI_GPU or MULTI_CPU'
    kind = values.get("distributed_type")
    if kind is None:
        return f"has no distributed_type: {usual}"
    if kind not in allowed and str(kind).lower() != "no":  # without quotes: see `_check_quotes`
        return f"distributed_type is {kind!r}; {usual} is expected"
    if values.get("num_processes") is None and num_processes is None and str(kind).lower() != "no":
        return f"has no num_processes, which a distributed_type of {kind} needs"
    return None


def _wrong_value(values: dict[str, Any]) -> str | None:
    from accelerate.utils import PrecisionType

    for name, least in (("num_processes", 1), ("num_machines", 1), ("machine_rank", 0)):
        number = values.get(name)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < least):
            return f"{name} is {number!r}; a whole number from {least} on is expected"
    allowed = [precision.value for precision in PrecisionType]
    precision = values.get("mixed_precision")
    if precision is not None and str(precision).lower() not in allowed:
        return f"mixed_precision is {precision!r}; it is one of {', '.join(allowed)}"
    return None
