"""Feedback of people as records: readers, mapping, checks, splits. Needs the standard library only."""

from rlhf.feedback.detection import Detection, ShapeError, detect_source, mapping_yaml
from rlhf.feedback.facts import RankingFacts, count_rankings
from rlhf.feedback.files import fingerprint_files
from rlhf.feedback.findings import find_oddities, level_of
from rlhf.feedback.mapping import Source, build_sources
from rlhf.feedback.notes import BadRow, Note
from rlhf.feedback.reading import read_demonstrations, read_prompts, read_rankings, read_texts
from rlhf.feedback.records import Demonstration, Message, Prompt, Ranking, Reading, Text
from rlhf.feedback.rows import Row, read_rows
from rlhf.feedback.splits import check_no_leak, leave_out_known, split_by_group

__all__ = [
    "BadRow",
    "Demonstration",
    "Detection",
    "Message",
    "Note",
    "Prompt",
    "Ranking",
    "RankingFacts",
    "Reading",
    "Row",
    "ShapeError",
    "Source",
    "Text",
    "build_sources",
    "check_no_leak",
    "count_rankings",
    "detect_source",
    "find_oddities",
    "fingerprint_files",
    "leave_out_known",
    "level_of",
    "mapping_yaml",
    "read_demonstrations",
    "read_prompts",
    "read_rankings",
    "read_rows",
    "read_texts",
    "split_by_group",
]
