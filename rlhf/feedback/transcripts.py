r"""Whole transcripts, "\n\nHuman:" and "\n\nAssistant:" before the turns (hh-rlhf; Bai et al. 2022).

The prompt of a pair is what both transcripts share, up to the last shared human turn that an assistant turn
follows in both. All that comes after is the response, verbatim, even if the model rolled on and wrote a
marker itself. How turns are split is said in `rlhf.feedback.turns`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from rlhf.feedback.columns import annotator_of, build_prompt
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import BadRow, TakeNote
from rlhf.feedback.paths import text_at
from rlhf.feedback.records import Demonstration, Message, Prompt, Ranking
from rlhf.feedback.rows import Row
from rlhf.feedback.strengths import strength_columns
from rlhf.feedback.tables import checked_ranking, strengths_of_pair
from rlhf.feedback.turns import HH_MARKERS, Turns, join_turns, split_turns, turn_messages

__all__ = [
    "transcript_demonstrations",
    "transcript_prompts",
    "transcript_rankings",
    "write_transcript",
]

_NAME = {"user": "Human", "assistant": "Assistant"}


def _length_of_prompt(chosen: Turns, rejected: Turns, where: str) -> int:
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    for size in range(min(shared, len(chosen) - 1, len(rejected) - 1), 0, -1):
        if chosen[size - 1][0] == "user" and chosen[size][0] == rejected[size][0] == "assistant":
            return size
    message = "chosen and rejected share no human turn that both answer, so they have no prompt in common"
    raise BadRow(message, where, "prompt_mismatch")


def _split_pair(row: Row, source: Source, take_note: TakeNote) -> tuple[Prompt, list[str]]:
    markers = _markers(source)
    sides = [
        (name, split_turns(text_at(row, name), markers, row.where, name))
        for name in (source.chosen, source.rejected)
    ]
    (_, chosen), (_, rejected) = sides
    size = _length_of_prompt(chosen, rejected, row.where)
    prompt = _build(row, source, chosen[:size])
    for name, turns in sides:
        if any(before[0] == after[0] for before, after in pairwise(turns)):
            take_note("repeated_speaker", row.where, f"{name} has two turns of one speaker in a row; kept")
    if len(chosen) > size + 1 or len(rejected) > size + 1:
        names = " and ".join(name for name, turns in sides if len(turns) > size + 1)
        take_note(
            "marker_in_response", row.where, f"{names} has a marker after the shared prompt; kept as text"
        )
    return prompt, [join_turns(chosen[size:], markers), join_turns(rejected[size:], markers)]


def _markers(source: Source) -> Mapping[str, str]:
    return HH_MARKERS if source.markers is None else source.markers


def _build(row: Row, source: Source, turns: Turns) -> Prompt:
    spent = {source.chosen, source.rejected, *strength_columns(source)}
    columns = {key: value for key, value in row.values.items() if key not in spent}
    return build_prompt(turn_messages(turns, _markers(source)), row, source, columns=columns)


def transcript_prompts(row: Row, source: Source, take_note: TakeNote) -> Iterator[Prompt]:
    """Yield the prompt that the two transcripts of a row share."""
    yield _split_pair(row, source, take_note)[0]


def transcript_rankings(row: Row, source: Source, take_note: TakeNote) -> Iterator[Ranking]:
    """Yield the pair of a row: the end of `chosen` ranked before the end of `rejected`."""
    prompt, responses = _split_pair(row, source, take_note)
    names = (source.chosen, source.rejected)
    annotator, strengths = annotator_of(row, source), strengths_of_pair(row, source)
    yield checked_ranking(prompt, responses, (1, 2), None, annotator, take_note, names, strengths)


def transcript_demonstrations(row: Row, source: Source, take_note: TakeNote) -> Iterator[Demonstration]:
    """Yield the last turn of the `chosen` transcript as the response to the turns before it."""
    turns = split_turns(text_at(row, source.chosen), _markers(source), row.where, source.chosen)
    if len(turns) < 2 or turns[-1][0] != "assistant" or turns[-2][0] != "user":
        raise BadRow(
            "the transcript does not end with an answer to a human turn", row.where, "bad_transcript"
        )
    response = join_turns(turns[-1:], _markers(source))
    if not response.strip():
        raise BadRow("the last answer is empty", row.where, "empty_response")
    yield Demonstration(_build(row, source, turns[:-1]), response)


def write_transcript(messages: Sequence[Message]) -> str:
    """Return messages as a transcript, without the blank line at its start; a system message comes bare."""
    return "\n\n".join(
        f"{_NAME[message.role]}: {message.content}" if message.role in _NAME else message.content
        for message in messages
    )
