"""The catalogue: every code under which something wrong or odd in feedback is counted."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["CODES", "Code", "Level", "level_of"]

Level = Literal["error", "warning"]


class Code(NamedTuple):
    """What a code says.

    Args:
        level: an error makes a row or a file unfit, or held-out numbers wrong; a warning is worth a look.
        meaning: one sentence.
        remedy: what to do about it.
    """

    level: Level
    meaning: str
    remedy: str


def _errors(table: dict[str, tuple[str, str]]) -> dict[str, Code]:
    return {code: Code("error", *texts) for code, texts in table.items()}


def _warnings(table: dict[str, tuple[str, str]]) -> dict[str, Code]:
    return {code: Code("warning", *texts) for code, texts in table.items()}


_FILES = _errors(
    {
        "file_not_found": ("Nothing is at the path, the folder or the pattern.", "Correct path."),
        "unknown_extension": ("The file's name has no extension that is read.", "Rename or convert it."),
        "empty_file": ("The file is empty, or blank.", "Write it again, or take it out of the folder."),
        "unreadable": ("The system does not let the file be read.", "See its rights, or the disk."),
        "truncated_gz": ("The .gz ends too early.", "Fetch it again."),
        "bad_gz": ("The file is no sound .gz.", "Fetch it again, or take .gz off its name."),
        "broken_file": ("A Parquet or Arrow file is cut off, or not what its name says.", "Write it again."),
        "bad_columns": ("Two columns of a Parquet or Arrow file have one name.", "Rename one of them."),
        "bad_utf8": ("A byte, or the whole file, is not UTF-8.", "Save the file as UTF-8."),
        "bad_json": ("The text is not strict JSON.", "Correct it at the column that is named."),
        "bad_csv": ("A quote is not closed, or stands inside a cell.", "Quote the cell, double its quotes."),
        "bad_header": ("The first line of a table does not name each column once.", "Correct the line."),
        "not_rows": ("The file holds one object, not a list of rows.", "Save the rows, one a line."),
        "too_many_bad_rows": ("More rows are bad than max_bad allows.", "Repair them, or raise max_bad."),
        "nothing_read": ("No record comes of the source.", "See its format, its split, and its rows."),
        "wrong_format": ("The format holds no records of the kind that is asked for.", "Set format."),
        "hub_unreachable": ("The hub cannot be reached.", "See the network, or name downloaded files."),
        "hub_gated": ("The set on the hub is gated.", "Ask for access on its page, and log in."),
        "hub_not_found": (
            "The hub has no such set, revision, config, split or file.",
            "Correct hub or path.",
        ),
        "hub_script": (
            "The set is a loading script, which is not run.",
            "Name its files, or its Parquet branch.",
        ),
        "hub_failed": ("The set cannot be loaded.", "See the message; or download it and name the files."),
        "bad_source": ("A setting of the source is wrong.", "Correct it as the message says."),
        "bad_function": ("An adapter or a loader cannot be used, or fails.", "Correct the function."),
        "bad_data": ("Data is wrong in a way that has no name of its own.", "See the message."),
    }
)
_SHAPES = _errors(
    {
        "label_direction_missing": (
            "It is not said which response a label calls better.",
            "Set label_values; it is not guessed.",
        ),
        "score_direction_missing": (
            "It is not said whether a high or a low score is good.",
            "Set best: highest or lowest; it is not guessed.",
        ),
        "shape_unknown": ("The layout of the rows is not known.", "Set format and the columns."),
        "several_shapes": ("The rows can be read in more than one way.", "Set format to one of them."),
    }
)
_ROWS = _errors(
    {
        "bad_row": ("A row is wrong in a way that has no name of its own.", "See the message."),
        "not_an_object": ("A row has no named columns.", "Write rows as objects."),
        "bad_cells": ("A line of a table has more or fewer cells than the header.", "Correct the line."),
        "missing_column": ("A row lacks a column, or a step of a path.", "Correct the path or the row."),
        "not_text": ("A number, null, list or object stands where text must.", "Write text, or map it."),
        "not_a_list": ("One value stands where a list must.", "Write a list, or name the columns."),
        "lone_surrogate": ("A text has half a surrogate pair, which no file can hold.", "Correct the text."),
        "empty_prompt": ("The prompt has no text.", "Take the row out, or correct prompt:."),
        "empty_response": ("A response has no text.", "Take the row out."),
        "empty_text": ("A document has no text.", "Take the row out."),
        "same_responses": (
            "Of two equal responses one is called better.",
            "Take the row out, or make it a tie.",
        ),
        "unknown_label": ("It is not said what a label means.", "Add the label to label_values."),
        "bad_labels": ("There are not as many labels as pairs or annotators.", "See labels, label_layout."),
        "bad_rank": ("A rank is missing, no whole number from 1, or nothing is compared.", "See ranks."),
        "scores_contradict": (
            "The scores call the response better that stands in the column rejected.",
            "Correct the row, or set format: pair where the columns are right.",
        ),
        "bad_score": ("A score is no number, or one is missing.", "List what stands for none in missing."),
        "bad_strength": ("A strength is no number from 0 up, or is not the better one's.", "See strengths."),
        "bad_value": ("A typed column holds what Python has no type for.", "Write the column as text."),
        "prompt_mismatch": ("The responses do not answer one prompt.", "Correct the row, or prompt:."),
        "bad_roles": ("Turns have unknown roles or an impossible order.", "Correct them, or set roles."),
        "unread_history": (
            "Earlier turns stand in a column that no setting reads.",
            "Make messages of them.",
        ),
        "not_trained_on": ("A response says that it is not to be trained on.", "Leave the row out."),
        "bad_transcript": ("A transcript lacks its markers or its answer.", "Correct it, or markers."),
        "bad_tree": ("A message tree is broken.", "See text, role and replies of its messages."),
        "equal_id": ("Two rows have one id.", "Name another column as id, or none."),
        "adapter_failed": ("The adapter raised an exception on a row.", "Correct it; the row is shown."),
        "nothing_left": ("Nothing is left to compare after truncation.", "Raise the limit of tokens."),
    }
)
_READERS = _warnings(
    {
        "no_record": ("A row gives no record of the kind that is read.", "Nothing, where that is meant."),
        "left_out": ("The adapter leaves a row out.", "Nothing, where that is meant."),
        "deleted_message": ("A message of a tree is deleted.", "Nothing; it goes with its replies."),
        "missing_rank": ("Responses without a rank are not compared.", "Nothing, where that is meant."),
        "missing_label": ("An annotator gave no label.", "Nothing, where that is meant."),
        "unread_system": ("A row has a system text that no setting reads.", "Set system: system."),
        "missing_strength": (
            "It is not known how much better a response is.",
            "Nothing, where that is meant.",
        ),
        "strength_of_tie": ("A tie has a strength; it is taken for 0.", "Correct the row, where it matters."),
        "weight": ("An epoch reads a source more or less than once.", "Nothing, where that is meant."),
        "repeated_prompt": ("Prompts that come again are read once.", "Nothing."),
        "intransitive": ("Labels of pairs fit no order; they are kept as pairs.", "Look at cycle."),
        "marker_in_response": ("A response has the marker of a turn.", "Cut it, or leave it as text."),
        "repeated_speaker": ("Two turns of one speaker follow each other.", "See how turns were split."),
        "too_long": ("Prompt and response have more tokens than are read.", "Raise the limit of tokens."),
    }
)
_FINDINGS = {
    **_errors(
        {
            "leak": (
                "A held-out prompt is a training prompt.",
                "Take one source and its split, or take rows out.",
            ),
            "group_leak": ("A group is in train and in a held-out split.", "Take one source and its split."),
            "cycle": ("An annotator prefers in a circle (2>1>4>2).", "Take out one of the judgements."),
        }
    ),
    **_warnings(
        {
            "held_out_overlap": ("A prompt is in two held-out splits.", "Take it out of one of them."),
            "near_duplicate": ("A held-out prompt nearly is a training prompt.", "Look; take it out."),
            "duplicate_row": ("A row is there twice.", "Take one out; it counts double."),
            "duplicate_prompt": ("A prompt is in several rows.", "Join them, or see that it is meant."),
            "contradiction": ("One pair has two different labels.", "Take out one of the judgements."),
            "tie_in_column": (
                "A column that is not read says tie, and one response is called better.",
                "Leave such rows out by an adapter, if the column means these two responses.",
            ),
            "intransitive_tie": ("Ties fit no order (a=b, b=c, a>c).", "Nothing; or lower tie_within."),
            "equal_responses": ("Responses of one ranking are equal texts.", "Take out the copies."),
            "template_text": ("A text has marks of a chat template.", "Take them out; models see turns."),
            "html": ("A text has tags or entities of HTML.", "Make it plain, unless it is about HTML."),
            "mojibake": ("A text was decoded by the wrong table.", "Read the original as UTF-8 again."),
            "control_characters": ("A text has characters that control terminals.", "Take them out."),
            "imbalance": ("A position, a length or an annotator prevails.", "Look at how it was judged."),
            "one_annotator": ("No prompt has two annotators.", "Nothing; agreement is not known."),
        }
    ),
}
CODES: dict[str, Code] = {**_FILES, **_SHAPES, **_ROWS, **_READERS, **_FINDINGS}
"""Every code with its level, its meaning and its remedy."""


def level_of(code: str) -> Level:
    """Return whether a code stands for an error or a warning.

    Raises:
        KeyError: a code that is not in the catalogue, which is a mistake of ours.
    """
    return CODES[code].level
