"""What a check found, as frozen values: for people in `lines`, for programs in `document`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rlhf.feedback.facts import RankingFacts
from rlhf.feedback.mapping import Source

__all__ = [
    "Baseline",
    "Baselines",
    "CheckReport",
    "Example",
    "Kind",
    "Lengths",
    "Meaning",
    "Overview",
    "Problem",
    "SourceReport",
    "Spread",
    "Subject",
]

Kind = Literal["rankings", "demonstrations", "prompts", "texts"]
Level = Literal["error", "skipped", "warning"]


@dataclass(frozen=True)
class Subject:
    """A source to check.

    Args:
        name: what messages call it: ``data.train[0]``, or the file's path.
        part: the list of sources that it stands in: ``data.train``.
        kind: what is read from it.
        source: its settings.
    """

    name: str
    part: str
    kind: Kind
    source: Source


@dataclass(frozen=True)
class Meaning:
    """What a value in the rows is read as: label 2 as a tie, the highest of `scores` as best.

    Args:
        value: as it stands in the rows.
        means: first, second or tie; best or worst; nothing, for a label that compares nothing or is unknown.
        number: how often it stands there; None where it holds for all.
        unit: what `number` counts: rows, or labels where rows have several.
    """

    value: str
    means: str
    number: int | None = None
    unit: str = "rows"


@dataclass(frozen=True)
class Example:
    """One record in full.

    Args:
        where: ``file:line``.
        prompt: role and content of each turn; empty for a text.
        best: the better response; of demonstrations the response, of texts the text, of prompts None.
        worst: the worse response; only rankings have one.
        best_rank: rank of the better one, 1 is best; None where labels fit no order.
        worst_rank: rank of the worse one.
        num_responses: K.
        annotator: who judged.
        strength: how much better the better one is; None where that is not known.
    """

    where: str
    prompt: tuple[tuple[str, str], ...]
    best: str | None = None
    worst: str | None = None
    best_rank: int | None = None
    worst_rank: int | None = None
    num_responses: int = 0
    annotator: str | None = None
    strength: float | None = None


@dataclass(frozen=True)
class Overview:
    """Counts over the records of a source.

    Args:
        num_groups: groups, which are never divided between splits.
        turns: how many records have so many turns of the user, by that number.
        num_with_system: records with a system message.
        num_system_messages: different ones.
        scripts: share of the records whose letters are mostly of a script (Latin, Han ...), largest first;
            "no letters" where there are none.
        annotators: rankings of each annotator, most first; those without a name are not in it.
    """

    num_groups: int
    turns: Mapping[int, int]
    num_with_system: int
    num_system_messages: int
    scripts: Mapping[str, float]
    annotators: Mapping[str, int]


@dataclass(frozen=True)
class Spread:
    """How long texts are, in tokens of the config's model.

    Args:
        percentiles: length by percent: 5 % of the texts are at most so long, ...
        mean: the mean length.
        longest: length and ``file:line`` of the longest few.
        limit: the setting's limit, or the context's; None where there is none.
        num_over: texts above the limit.
        num_texts: how many were measured.
        by_context: no setting limits them, but what the model's context leaves.
    """

    percentiles: Mapping[int, int]
    mean: float
    longest: tuple[tuple[int, str], ...]
    limit: int | None
    num_over: int
    num_texts: int
    by_context: bool = False

    @property
    def share_over(self) -> float:
        """Return the share of the texts above the limit."""
        return self.num_over / self.num_texts if self.num_texts else 0.0


@dataclass(frozen=True)
class Lengths:
    """Token lengths by the tokenizer and the chat template of a model.

    Args:
        model: its path.
        num_measured: records that were measured; evenly spread ones where that is not all.
        prompts: of prompts (of texts: the texts), template included.
        responses: of responses, end token included; None where there are none.
        consequences: what rendering does with the measured records, in words: cut, left out ...
        stops: the stage's limits do not fit the model, so it renders nothing and stops.
    """

    model: str
    num_measured: int
    prompts: Spread
    responses: Spread | None
    consequences: tuple[str, ...]
    stops: bool = False


@dataclass(frozen=True)
class Baseline:
    """A share of pairs with its 95 % interval over prompts."""

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Baselines:
    """What anybody would get without a reward model, as shares of pairs with an order.

    Args:
        shares: longer_wins, shorter_wins and, where the rows list responses in an order that means nothing,
            first_wins and last_wins; 0.5 is chance.
        agreement: how often two annotators order the same pair alike; None where none met.
        num_pairs: pairs with an order.
        num_measured: rankings that were measured; evenly spread ones where that is not all.
    """

    shares: Mapping[str, Baseline]
    agreement: Baseline | None
    num_pairs: int
    num_measured: int


@dataclass(frozen=True)
class Problem:
    """All findings of one code in a list of sources.

    Args:
        code: short fixed word.
        level: error (training stops), skipped (rows that `on_bad_row: skip` leaves out) or warning.
        number: how often.
        num_left_out: how many of these rows are left out.
        places: the first few, ``file:line``.
        message: of the first.
    """

    code: str
    level: Level
    number: int
    num_left_out: int
    places: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class SourceReport:
    """What is known of one source; where it could not be read, `failure` says why and the rest is empty."""

    subject: Subject
    failure: str | None = None
    files: tuple[str, ...] = ()
    num_rows: int = 0
    num_records: int = 0
    shape: str = ""
    because: tuple[str, ...] = ()
    mapping: str = ""
    meanings: tuple[Meaning, ...] = ()
    examples: tuple[Example, ...] = ()
    overview: Overview | None = None
    rankings: RankingFacts | None = None
    lengths: Lengths | None = None
    why_no_lengths: str = ""
    baselines: Baselines | None = None
    policy: str = ""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class CheckReport:
    """A whole check.

    Args:
        sources: in the order of the settings.
        across: findings between sources: duplicates, leaks between splits ...
        notes: what was not checked, and why.
    """

    sources: tuple[SourceReport, ...]
    across: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def problems(self) -> list[Problem]:
        """Return every problem, errors first."""
        found = [problem for source in self.sources for problem in source.problems] + list(self.across)
        return sorted(found, key=lambda problem: LEVELS.index(problem.level))

    def count(self, level: Level) -> int:
        """Return how many kinds of problems have a level; one that several sources have counts once."""
        return len({problem.code for problem in self.problems if problem.level == level})

    @property
    def exit_code(self) -> int:
        """Return 0 (fine, warnings allowed), 1 (problems in the data) or 2 (cannot be read or rendered)."""
        if self._stops or any(source.failure for source in self.sources):
            return 2
        return 1 if self.count("error") else 0

    @property
    def _stops(self) -> bool:
        return any(source.lengths is not None and source.lengths.stops for source in self.sources)

    @property
    def verdict(self) -> str:
        """Return the last line: ``OK``, ``OK, 2 warnings``, ``3 problems``."""
        failed = sum(source.failure is not None for source in self.sources)
        if failed:
            return f"{failed} of {len(self.sources)} sources could not be checked"
        errors = self.count("error")
        if self._stops:
            return "the stage stops: its limits do not fit into the model's context" + (
                f"; {errors} problem{'s' * (errors != 1)} in the data" if errors else ""
            )
        if errors:
            return f"{errors} problem{'s' * (errors != 1)}"
        said = ["OK"]
        for level, word in (("skipped", "kind of bad row left out"), ("warning", "warning")):
            number = self.count(level)  # type: ignore[arg-type]
            if number:
                said.append(f"{number} {_plural(word, number)}")
        return ", ".join(said)


LEVELS: tuple[Level, ...] = ("error", "skipped", "warning")


def _plural(words: str, number: int) -> str:
    if number == 1:
        return words
    return words.replace("kind ", "kinds ").replace("row ", "rows ") if " " in words else f"{words}s"
