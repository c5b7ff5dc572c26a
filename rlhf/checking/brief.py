"""The check in short that every stage makes of its data before it trains: a few lines a list of sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rlhf.checking.examples import choose_examples
from rlhf.checking.lines import visible
from rlhf.feedback.mapping import Source
from rlhf.feedback.records import Ranking, Reading

__all__ = ["brief_lines"]

_SHOWN = 100  # characters of a text


def brief_lines(name: str, sources: Sequence[Source], reading: Reading[Any]) -> Iterator[str]:
    """Yield what was read, as what and why, one BEST and one WORST response, and how often what was odd.

    It needs no tokenizer and looks at some 2,000 records; `rlhf check` says the rest.

    Args:
        name: of the list of sources, ``data.train``.
        sources: the list.
        reading: what they gave.
    """
    found, *odd = reading.summary()
    yield f"{name}: {found}"
    for source in sources:
        if source.format != "auto":
            said = f"preset {source.preset}" if source.preset else f"format {source.format}"
            yield f"  {source.path} read as its settings say: {said}"
    for detection in reading.detections:
        yield f"  {detection.line()}"
    if len(reading.records) and isinstance(reading.records[0], Ranking):
        for example in choose_examples(reading.records):
            prompt = example.prompt[-1][1]
            yield f"  for instance {example.where}: {_short(prompt)}"
            yield f"    BEST   {_short(example.best or '')}"
            yield f"    WORST  {_short(example.worst or '')}"
    for line in odd:
        yield f"  {line}"


def _short(text: str) -> str:
    line = " ".join(visible(text).split())
    return f'"{line}"' if len(line) <= _SHOWN else f'"{line[:_SHOWN]}..."'
