"""A check as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rlhf.checking.results import (
    Baseline,
    CheckReport,
    Example,
    Lengths,
    Overview,
    Problem,
    SourceReport,
    Spread,
)
from rlhf.feedback.facts import RankingFacts
from rlhf.feedback.notes import shown_places
from rlhf.feedback.numbers import number_of

__all__ = ["report_lines", "visible"]

_WIDTH = 12  # of the first word of a line
_SHOWN = 8  # annotators, numbers of turns
_WORDS = {"error": "ERROR", "skipped": "SKIPPED", "warning": "WARN"}
_TOO_LONG = {"prompts": "each loses its oldest part", "responses": "left out of training"}
_BY_LENGTH = (("longer_wins", "longer response wins"), ("shorter_wins", "shorter wins"))
_BY_PLACE = (("first_wins", "first response wins"), ("last_wins", "last wins"))
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def visible(text: str) -> str:
    r"""Return a text with control characters (which may steer a terminal) as escapes; lines and tabs stay.

    Half a letter (a lone surrogate), which cannot be printed, is an escape too.
    """
    shown = text.replace("\r\n", "\n").translate(_CONTROL)
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")


def report_lines(report: CheckReport) -> list[str]:
    """Return the whole check; the last line is its verdict."""
    lines = []
    told: dict[Problem, str] = {}  # by which source
    for source in report.sources:
        lines += [*_source_lines(source), *_problems_of(source, told), ""]
    if report.across:
        lines += ["between the rows, and between the sources", *_problem_lines(report.across), ""]
    return [*lines, *report.notes, report.verdict]


def _source_lines(report: SourceReport) -> Iterator[str]:
    subject = report.subject
    title = subject.name if subject.name == subject.source.path else f"{subject.name}  {subject.source.path}"
    if report.failure is not None:
        yield title
        yield from _entry("FAILED", report.failure)
        return
    rows = f"{number_of(report.num_rows, 'rows')} read"
    yield f"{title}  {rows}, {number_of(report.num_records, subject.kind)}"
    if len(report.files) > 1:
        yield from _entry("files", f"{len(report.files):,}: {report.files[0]} to {report.files[-1]}")
    yield from _entry("shape", f"{report.shape}, because {'; '.join(report.because)}")
    yield from _entry("mapping", report.mapping.rstrip("\n"))
    for meaning in report.meanings:
        often = "" if meaning.number is None else f" ({number_of(meaning.number, meaning.unit)})"
        yield from _entry("reading", f"{meaning.value} = {meaning.means}{often}")
    if report.rankings is not None:
        yield from _ranking_lines(report.rankings)
    if report.overview is not None:
        yield from _overview_lines(report.overview, ranked=report.rankings is not None)
    for example in report.examples:
        yield from _example_lines(example, subject.kind)
    yield from _length_lines(report)
    if report.baselines is not None:
        yield from _entry("beat this", _baseline_text(report))


def _problems_of(report: SourceReport, told: dict[Problem, str]) -> Iterator[str]:
    """Yield the problems of a source, in short those of an earlier one that reads the same rows."""
    again = [problem for problem in report.problems if problem in told]
    new = [problem for problem in report.problems if problem not in told]
    if report.policy and (new or not again):
        yield from _entry("training", report.policy)
    yield from _problem_lines(new)
    if again:
        codes = ", ".join(f"{problem.code} {problem.number:,}" for problem in again)
        first = ", ".join(dict.fromkeys(told[problem] for problem in again))
        yield from _entry("as above", f"{codes}: in the same rows as of {first}")
    told |= dict.fromkeys(new, report.subject.name)


def _entry(word: str, text: str) -> Iterator[str]:
    """Yield a word with a text beside it, whose further lines stand below its first."""
    first, *rest = text.split("\n")
    yield f"  {word:<{_WIDTH}}{first}".rstrip()
    for line in rest:
        yield f"  {'':<{_WIDTH}}{line}".rstrip()


def _ranking_lines(facts: RankingFacts) -> Iterator[str]:
    sizes = ", ".join(f"{size}: {number:,}" for size, number in facts.sizes.items())
    told = f"{facts.num_rankings:,} of {facts.num_prompts:,} prompts; responses each (K): {sizes}"
    yield from _entry("rankings", told)
    ties = "none"
    if facts.num_ties:
        share = facts.num_ties / facts.num_comparisons
        ties = f"{facts.num_ties:,} of {facts.num_comparisons:,} comparisons ({share:.1%})"
        ties += (
            f", in {number_of(facts.num_tied_rankings, 'rankings')}, {facts.num_all_ties:,} with nothing else"
        )
    yield from _entry("ties", ties)
    if facts.num_strengths:
        low, mean, high = facts.strength_range
        told = f"{low:g} to {high:g}, mean {mean:.3g}, of {facts.num_strengths:,} pairs with an order"
        yield from _entry("strengths", told)
    if facts.num_intransitive:
        yield from _entry("in no order", f"{number_of(facts.num_intransitive, 'rankings')}, kept as pairs")
    if facts.num_partial:
        yield from _entry(
            "partial", f"{number_of(facts.num_partial, 'rankings')} with a response that is not ranked"
        )


def _overview_lines(overview: Overview, *, ranked: bool) -> Iterator[str]:
    if overview.turns:
        yield from _entry("turns", _counted(overview.turns.items()))
    if overview.num_with_system:
        told = f"{number_of(overview.num_with_system, 'records')}, {overview.num_system_messages:,} different"
        yield from _entry("system", told)
    if overview.annotators:
        told = f"{len(overview.annotators):,}: {_counted(overview.annotators.items())}"
        yield from _entry("annotators", told)
    elif ranked:
        yield from _entry("annotators", "not recorded")
    shares = (f"{name} {share:.1%}" for name, share in overview.scripts.items())
    yield from _entry("letters", ", ".join(shares))
    yield from _entry("groups", f"{overview.num_groups:,} (none is divided between splits)")


def _counted(counts: object) -> str:
    pairs = list(counts)  # type: ignore[call-overload]
    shown = "  ".join(f"{name}: {number:,}" for name, number in pairs[:_SHOWN])
    rest = sum(number for _, number in pairs[_SHOWN:])
    return f"{shown}  others: {rest:,}" if rest else shown


def _example_lines(example: Example, kind: str) -> Iterator[str]:
    by = f", by {example.annotator}" if example.annotator is not None else ""
    if example.prompt:
        yield from _entry("PROMPT", f"{example.where}{by}")
        for role, content in example.prompt:
            yield from _quoted(f"{role}: {content}")
    if kind == "rankings":
        by_how_much = "" if example.strength is None else f"; strength {example.strength:g}"
        yield from _entry("BEST", _rank(example.best_rank, example.num_responses) + by_how_much)
        yield from _quoted(example.best or "")
        yield from _entry("WORST", _rank(example.worst_rank, example.num_responses))
        yield from _quoted(example.worst or "")
    elif example.best is not None:
        yield from _entry("RESPONSE" if example.prompt else "TEXT", "" if example.prompt else example.where)
        yield from _quoted(example.best)


def _rank(rank: int | None, size: int) -> str:
    return f"one of {size} responses" if rank is None else f"rank {rank} of {size} responses"


def _quoted(text: str) -> Iterator[str]:
    for line in visible(text).split("\n"):
        yield f"    | {line}".rstrip()


def _length_lines(report: SourceReport) -> Iterator[str]:
    lengths = report.lengths
    if lengths is None:
        if report.why_no_lengths:
            yield from _entry("tokens", f"not counted: {report.why_no_lengths}")
        return
    of = f" ({lengths.num_measured:,} of {report.num_records:,} records)"
    measured = "" if lengths.num_measured == report.num_records else of
    yield from _entry("tokens", f"by the tokenizer and template of {lengths.model}{measured}")
    yield from _entry("", "\n".join(_spreads(lengths, report.subject.kind)))
    for line in lengths.consequences:
        yield from _entry("", line)


def _spreads(lengths: Lengths, kind: str) -> Iterator[str]:
    named = [("texts" if kind == "texts" else "prompts", lengths.prompts)]
    named += [] if lengths.responses is None else [("responses", lengths.responses)]
    for name, spread in named:
        shown = "  ".join(f"{percent} %: {length:,}" for percent, length in spread.percentiles.items())
        yield f"{name:<10} {shown}"
        if spread.num_over:
            yield _over(name, spread)


def _over(name: str, spread: Spread) -> str:
    worst = ", ".join(f"{where} ({length:,})" for length, where in spread.longest)
    found = f"{spread.num_over:,} of {spread.num_texts:,} ({spread.share_over:.1%}) are longer than"
    limit = f"max_{name[:-1]}_tokens {spread.limit:,}"
    if spread.by_context:
        limit = f"the {spread.limit:,} tokens that the model's context leaves for them"
    return f"{name:<10} {found} {limit}: {_TOO_LONG[name]}; longest: {worst}"


def _baseline_text(report: SourceReport) -> str:
    found = report.baselines
    assert found is not None
    lines = [
        ", ".join(f"{words} {_percent(found.shares[name])}" for name, words in names if name in found.shares)
        for names in (_BY_LENGTH, _BY_PLACE)
    ]
    lines = [*filter(None, lines), "chance 50.0%"]
    if found.agreement is not None:
        lines.append(f"two annotators of the same responses agree on {_percent(found.agreement)} of pairs")
    elif report.overview is not None and len(report.overview.annotators) > 1:
        lines.append("no two annotators ranked the same responses: how far people agree cannot be said")
    return "\n".join(lines)


def _percent(found: Baseline) -> str:
    return f"{found.share:.1%} [{found.low:.1%}, {found.high:.1%}]"


def _problem_lines(problems: Sequence[Problem]) -> Iterator[str]:
    """Yield for each code how often and where, and the message of its first place."""
    for problem in problems:
        more = " ..." if problem.number > len(problem.places) else ""
        left_out = f", {problem.num_left_out:,} left out" if problem.num_left_out else ""
        left_out = " left out" if problem.num_left_out == problem.number else left_out
        found = f"{problem.number:,}{left_out}: {shown_places(problem.places)}{more}"
        yield f"  {_WORDS[problem.level]:<{_WIDTH}}{problem.code}  {found}"
        yield from _entry("", visible(problem.message))
