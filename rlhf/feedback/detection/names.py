"""What columns' names say: which stand side by side (response_a, response_b), which is the better one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from rlhf.feedback.detection.looks import READABLE, Look
from rlhf.feedback.numbers import number_in, spelled

__all__ = [
    "better_and_worse",
    "is_count_name",
    "is_label_name",
    "mirrored_scores",
    "names_the_better",
    "responses_side_by_side",
    "rows_of_columns",
    "says_yes",
    "share_a_label_word",
    "tokens",
    "yes_or_no",
]

_TOKENS = re.compile(r"\d+|[A-Z]?[a-z]+|[A-Z]+")
_WORDS = {"first": 0, "second": 1, "third": 2, "fourth": 3, "left": 0, "right": 1}
_RESPONSES = {
    "response", "responses", "answer", "completion", "output", "conversation", "summary", "prediction",
    "reply", "generation", "candidate", "option", "ref", "text", "assistant", "messages", "message",
}  # fmt: skip
_LABELS = {
    "label", "labels", "preference", "preferences", "preferred", "pref", "winner", "win", "wins", "choice",
    "chosen", "better", "best", "safer", "vote", "votes", "verdict", "judgment", "judgement", "selected",
}  # fmt: skip
_SCORES = {"score", "scores", "rating", "ratings", "reward", "rewards"}  # the higher, the better
_REASONS = {"statement", "elaboration", "reason", "reasoning", "rationale", "explanation", "comment"}
_SAY_BETTER = {
    "winner",
    "win",
    "wins",
    "better",
    "best",
    "chosen",
    "preferred",
    "preference",
    "choice",
    "selected",
}
# Words that change nothing of what the others say.
_SAY_NOTHING = {
    "a", "annotator", "answers", "by", "crowd", "final", "gold", "human", "id", "idx", "index", "is", "it",
    "label", "labeler", "labels", "model", "name", "of", "options", "overall", "pair", "rater", "side", "the",
    "user", "which",
}  # fmt: skip
# What people say of one response; other things are called so too (a critique, stars, a number right).
_OPINIONS = {
    "feedback", "thumb", "thumbs", "rating", "ratings", "like", "liked", "disliked", "reaction", "correct",
    "accepted", "acceptable", "approved", "upvoted", "downvoted", "helpful", "harmful", "good", "bad",
    "desirable", "undesirable", "valid", "toxic", "kto", "quality", "score", "reward",
}  # fmt: skip
_YES = (
    "true", "1", "yes", "y", "good", "thumbs up", "thumbsup", "up", "\N{THUMBS UP SIGN}", "like", "liked",
    "upvote", "accept", "accepted", "correct", "desirable", "chosen",
)  # fmt: skip
_NO = (
    "false", "0", "-1", "no", "n", "bad", "thumbs down", "thumbsdown", "down", "\N{THUMBS DOWN SIGN}",
    "dislike", "disliked", "downvote", "reject", "rejected", "incorrect", "undesirable",
)  # fmt: skip
_VERDICTS = {**dict.fromkeys(_YES, True), **dict.fromkeys(_NO, False)}
_BETWEEN = re.compile(r"(?<=\w)[\s_-]+(?=\w)")
_FEW = 0.1  # a share of values up to this is cells that are wrong, not classes
_SIDES = (
    ("chosen", "rejected"),
    ("better", "worse"),
    ("preferred", "dispreferred"),
    ("preferred", "rejected"),
    ("accepted", "rejected"),
    ("winning", "losing"),
    ("best", "worst"),
)


def tokens(name: str) -> list[str]:
    """Return the words and numbers of a name.

    >>> tokens("human_ref_A"), tokens("response1"), tokens("prediction 2")
    (['human', 'ref', 'A'], ['response', '1'], ['prediction', '2'])
    """
    return _TOKENS.findall(name)


def is_label_name(name: str) -> bool:
    """Return whether a name is that of a label, or of the labels of one of several annotators."""
    words = [token.lower() for token in tokens(name)]
    if not _REASONS.isdisjoint(words):
        return False
    return not _LABELS.isdisjoint(words) or (words[:1] == ["annotator"] and words[-1].isdigit())


def is_count_name(name: str, *, large: bool) -> bool:
    """Return whether numbers of this name count who is for a response.

    Args:
        name: of the column.
        large: whether there are numbers above that of the responses; then a "vote" is no number of one.
    """
    words = {token.lower() for token in tokens(name)}
    return bool(words & {"votes", "upvotes", "likes"} or (large and words & {"vote", "win", "wins"}))


def yes_or_no(look: Look) -> tuple[str, int] | None:
    """Return the label that says yes or no of each row's response, and how many have a yes.

    A column of a label's name is one where all values that are there are a yes or a no, or where most are, at
    least one is a no, and the others are no classes (see `_are_classes`). One called feedback, thumbs, rating
    and the like, which may hold other things, is one where all are and at least one is a no.
    """
    if look.given("labels", "label_values") or responses_side_by_side(look):
        return None  # it says which of several is better
    for name in look.names:
        values = [value for value in look.column(name).values if value != ""]  # a CSV's null
        if not values or not look.column(name).mostly("boolean", "number", "text"):
            continue
        said = [says_yes(value) for value in values]
        others = [value for value, verdict in zip(values, said, strict=True) if verdict is None]
        if is_label_name(name):
            mostly = 2 * len(others) < len(values) and False in said and not _are_classes(others, values)
            judged = not others or mostly
        else:
            judged = _is_opinion_name(name) and not others and False in said
        if judged:
            return name, said.count(True)
    return None


def _are_classes(others: Sequence[object], values: Sequence[object]) -> bool:
    """Return whether what is neither 0 nor 1 makes a column one of classes (0 to 5): several other numbers.

    One other number may be a third answer (0, 1, 2), and a few odd cells of many may be anything.
    """
    numbers = {number for value in others if (number := number_in(value)) is not None}
    return len(numbers) > 1 and len(others) > _FEW * len(values)


def _is_opinion_name(name: str) -> bool:
    words = {token.lower() for token in tokens(name)}
    return bool(words & _OPINIONS) and not words & _REASONS


def says_yes(value: object) -> bool | None:
    """Return whether a label is a yes; None: neither a yes nor a no.

    >>> says_yes(1), says_yes("Good"), says_yes("thumbs_down"), says_yes("-1"), says_yes("maybe"), says_yes(2)
    (True, True, False, False, None, None)
    """
    written = value.strip() if isinstance(value, str) else value
    return _VERDICTS.get(_BETWEEN.sub(" ", spelled(written).lower()))


def share_a_label_word(names: Sequence[str]) -> bool:
    """Return whether the names of some labels are about one thing: winner_a, winner_b, winner_tie."""
    shared = set(_LABELS)
    for name in names:
        shared &= {token.lower() for token in tokens(name)}
    return bool(shared)


def names_the_better(name: str) -> bool:
    """Return whether a label of this name says "better" of the response that it names.

    Each of its words has to be known: most others turn or weaken it (second_choice, never_chosen).

    >>> names_the_better("preferred_response"), names_the_better("wrong_choice"), names_the_better("label")
    (True, False, False)
    """
    words = {token.lower() for token in tokens(name)}
    return bool(words & _SAY_BETTER) and words <= _SAY_BETTER | _SAY_NOTHING | _RESPONSES


def _place(name: str) -> tuple[str, str, int] | None:
    """Return what is the same in the names of a row of columns, the kind of numbering, and the number."""
    words = tokens(name)
    for at in (-1, 0):
        word = words[at] if words else ""
        stem = "_".join(words[:-1] if at else words[1:]).lower()
        if word.isdigit():
            return (stem, f"number {at}", int(word)) if stem else None
        if len(word) == 1:
            return stem, f"{'upper' if word.isupper() else 'lower'} {at}", ord(word.lower()) - ord("a")
        if word.lower() in _WORDS:
            family = "left" if word.lower() in ("left", "right") else "first"
            return stem, f"{family} {at}", _WORDS[word.lower()]
        if len(words) == 1:
            return None
    return None


def rows_of_columns(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns that stand side by side, in their order, by what their names share.

    >>> rows_of_columns(["prompt", "response_b", "response_a", "score 1", "score 2", "score 3"])
    {'response': ('response_a', 'response_b'), 'score': ('score 1', 'score 2', 'score 3')}
    """
    groups: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for name in names:
        place = _place(name)
        if place is not None:
            groups[place[:2]].setdefault(place[2], name)
    found: dict[str, tuple[str, ...]] = {}
    for (stem, _), group in groups.items():
        places = sorted(group)
        if len(places) > 1 and places[0] in (0, 1) and places == list(range(places[0], places[-1] + 1)):
            found.setdefault(stem, tuple(group[place] for place in places))
    return found


def responses_side_by_side(look: Look) -> list[tuple[str, ...]]:
    """Return the rows of columns that can be the responses; where some are called so, only these."""
    groups = {
        stem: names
        for stem, names in rows_of_columns(look.names).items()
        if all(look.column(name).mostly(*READABLE, "texts") and look.column(name).values for name in names)
    }
    called = [names for stem, names in groups.items() if not stem or set(stem.split("_")) & _RESPONSES]
    return called or [
        names for names in groups.values() if not any(look.column(name).numeric() for name in names)
    ]


def mirrored_scores(look: Look) -> list[tuple[str, str]]:
    """Return the pairs of columns named as the score of the better response and that of the worse one."""
    words = {name: [token.lower() for token in tokens(name)] for name in look.names}
    return [
        (name, other)
        for better, worse in _SIDES
        for name, own in words.items()
        if better in own and _SCORES & set(own)
        for other, theirs in words.items()
        if [worse if word == better else word for word in own] == theirs
    ]


def better_and_worse(look: Look) -> list[tuple[str, str]]:
    """Return the pairs of columns whose names say that one holds the better response, the other the worse."""
    found = []
    for better, worse in _SIDES:
        for name in look.names:
            words = [token.lower() for token in tokens(name)]
            if better not in words or not set(words) <= {better, *_RESPONSES}:
                continue
            for other in look.names:
                mirrored = [token.lower() for token in tokens(other)]
                if [worse if word == better else word for word in words] == mirrored:
                    found.append((name, other))
    return found
