"""Prompts of held-out data that nearly are prompts of the training data.

Two prompts are compared by their words (runs of letters and digits, whatever the case), eight at a time. A
held-out prompt is a near-duplicate where at least 70 % of its 8-grams stand in one training prompt. That is
the measure of PaLM (Chowdhery et al. 2022, arXiv:2204.02311, section 8: 70 % of the 8-grams seen in
training), but within one prompt, so that two places can be named. It also finds most of what InstructGPT's
long common prefix finds (Ouyang et al. 2022, arXiv:2203.02155, section 3.2), and where beginnings differ.

An 8-gram that more than twenty different training prompts have is a template's and tells nothing; a prompt
of nothing else is not reported. A prompt of fewer than eight words is one gram, so that it is found where
only punctuation differs; text without spaces between words (Chinese) is compared by its clauses.

Time is linear in the words. Of the held-out grams at most `MAX_GRAMS` are kept, by their hash (a sample "0
mod p", Manber 1994): all of them up to some two million words of held-out prompts.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import Counter

from rlhf.feedback.findings.entries import Entry, Places, digest
from rlhf.feedback.findings.tally import Tally

__all__ = ["NearDuplicates", "words_of"]

MAX_GRAMS = 2_000_000
SIZE = 8
SHARE = 0.7
MOST_PROMPTS = 20

_WORD = re.compile(r"\w+")


def words_of(entry: Entry) -> list[str]:
    """Return the words of a prompt's turns."""
    text = "\n".join(message.content for message in entry.messages)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return _WORD.findall(text.casefold())


class NearDuplicates:
    """Finds near_duplicate; give it every held-out record before the first of train."""

    def __init__(self, places: Places, tally: Tally) -> None:
        self._places = places
        self._tally = tally
        self._words: dict[str, int] = {}  # those of held-out prompts
        self._held_out: dict[int, tuple[int, str, array[int]]] = {}  # prompt to place, split and its grams
        self._found: dict[int, list[int] | None] = {}  # gram to its training prompts; None: too many
        self._known: set[int] = set()  # training prompts met
        self._mask = 0  # a gram is kept where no bit of the mask is set in it

    def add(self, entry: Entry) -> None:
        """Take one record."""
        if entry.opinion or not entry.messages:
            return
        if entry.split == "train":
            if self._held_out and entry.key not in self._known:
                self._known.add(entry.key)
                self._look_up(entry)
        elif entry.key not in self._held_out:
            words = words_of(entry)
            for word in words:
                if word not in self._words:
                    self._words[word] = digest(word)
            grams = {gram for gram in self._grams(words) if not gram & self._mask}
            self._held_out[entry.key] = (entry.place, entry.split, array("q", grams))
            self._found.update(dict.fromkeys(grams, _NONE))
            self._shrink()

    def _grams(self, words: list[str]) -> set[int]:
        """Return the hashes of all 8-grams; those with a word that no held-out prompt has find nothing."""
        known = [self._words.get(word, 0) for word in words]
        if len(known) <= SIZE:
            return {hash(tuple(known))}
        # Hashes of whole numbers are the same in every process.
        return set(map(hash, zip(*(known[start:] for start in range(SIZE)), strict=False)))

    def _shrink(self) -> None:
        while len(self._found) > MAX_GRAMS:
            self._mask = self._mask << 1 | 1
            self._found = {gram: _NONE for gram in self._found if not gram & self._mask}

    def _look_up(self, entry: Entry) -> None:
        found = self._found
        for gram in found.keys() & self._grams(words_of(entry)):
            prompts = found[gram]
            if prompts is _NONE:
                found[gram] = [entry.place]
            elif prompts is not None and len(prompts) < MOST_PROMPTS:
                prompts.append(entry.place)
            else:
                found[gram] = None

    def finish(self) -> None:
        """Count what was found; equal prompts are leaks and not counted here."""
        for key, (place, split, grams) in self._held_out.items():
            if key in self._known:
                continue
            lists = [self._found.get(gram) for gram in grams if not gram & self._mask]
            telling = [prompts for prompts in lists if prompts is not None]
            shared = Counter(prompt for prompts in telling for prompt in prompts)
            if not shared:
                continue
            nearest, number = min(shared.items(), key=lambda item: (-item[1], item[0]))
            if number >= SHARE * len(telling):
                self._tally.add(
                    "near_duplicate",
                    self._places[place],
                    f"{number / len(telling):.0%} of the word 8-grams of this {split} prompt are in train's "
                    f"{self._places[nearest]}; it is counted only, not left out of evaluation",
                )


_NONE: list[int] = []
