"""Two mistakes that are said as what they are, in one message, rather than as all that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rlhf.errors import SettingsError
from rlhf.settings import schema
from rlhf.settings.layers import Settings
from rlhf.settings.overlay import COMMAND_LINE
from rlhf.settings.yaml_file import is_unclosed, read_yaml

__all__ = ["refuse_cut_pairs", "refuse_other_config"]


def refuse_cut_pairs(words: Sequence[str]) -> None:
    """Refuse ``scores=[{function:`` and ``f.py:g}]``, which the shell has cut from one pair at its blanks.

    Raises:
        SettingsError: a value ends within a bracket, brace or quote, and the words after it are the rest.
    """
    for index, word in enumerate(words):
        key, equals, value = word.partition("=")
        if equals and is_unclosed(value):
            whole = _with_the_rest(value, words[index + 1 :])
            if whole is not None:
                raise SettingsError(_cut(key, whole), where=COMMAND_LINE)


def _cut(key: str, value: str) -> str:
    found = f"the shell has cut {key}={value} at its blanks"
    if is_unclosed(value):
        return (
            f"{found}; close its bracket, brace or quote, and put the whole pair in single quotes inside "
            f"ARGS: ARGS=\"'{key}=...'\""
        )
    return f"{found}; put the whole pair in single quotes inside ARGS: ARGS=\"'{key}={value}'\""


def _with_the_rest(value: str, following: Sequence[str]) -> str | None:
    """The value as it was before it was cut; None if it was not, but simply is not closed."""
    whole = value
    for word in following:
        whole = f"{whole} {word}"
        if not is_unclosed(whole):
            return whole
    # Closed nowhere: words that are no pairs are its rest even so.
    rest: list[str] = []
    for word in following:
        if "=" in word or word.startswith("--"):
            break
        rest.append(word)
    return " ".join([value, *rest]) if rest else None


def refuse_other_config(config: str, stage: str, schemas: Mapping[str, type[Settings]]) -> None:
    """Refuse a file that is not this stage's but another one's, or accelerate's.

    A file that has a mistake of its own besides is not recognised: its keys are reported one by one.

    Args:
        config: the YAML file.
        stage: the stage that was told to read it.
        schemas: those of all stages, this one's too.

    Raises:
        SettingsError: it is another's, or it cannot be read.
    """
    keys = set(map(str, read_yaml(config)))
    own = _known(schemas[stage])
    if keys <= own:
        return
    if keys & {"distributed_type", "compute_environment"} and not keys & own:
        raise SettingsError(
            f"{config} is an accelerate config, not settings of a stage: "
            f"make {stage} ACCELERATE_CONFIG={config}"
        )
    others = [name for name, other in schemas.items() if name != stage and keys <= _known(other)]
    if len(others) == 1:
        unknown = ", ".join(sorted(keys - own))
        raise SettingsError(
            f"{config} is for the {others[0]} stage, not for {stage}, which has no {unknown}: "
            f"make {others[0]} CONFIG={config}"
        )


def _known(section: type[Settings]) -> set[str]:
    return set(schema.fields_of(section))
