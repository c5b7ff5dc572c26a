"""Wrong versions of the findings over whole readings; the form is that of tests/maths/wrong_versions.py."""

from __future__ import annotations

from tests.maths.wrong_versions import Entry

TOGETHER = ("tests/feedback/findings/test_findings.py",)
JUDGEMENTS = ("tests/feedback/findings/test_judgements.py",)
REPEATS = ("tests/feedback/findings/test_repeats.py",)

# fmt: off
WRONG_VERSIONS: dict[str, list[Entry]] = {
    "rlhf/feedback/findings/__init__.py": [
        ('sorted(readings, key=lambda name: name == "train")', "sorted(readings, reverse=True)",
         "training prompts met before the held-out ones: no near-duplicate is found", ("tests/feedback/findings/test_near.py",)),
        ("for note in reading.notes}, tally)", "for note in reading.notes[:0]}, tally)", "what the reader noted is counted again",
         ("tests/feedback/findings/test_contents.py",)),
    ],
    "rlhf/feedback/findings/tally.py": [
        ("count=self._counts[code] - len(kept)", "count=1", "what is not shown is not counted", TOGETHER),
        ("len(kept) < PLACES_KEPT", "True", "memory grows with what is found", TOGETHER),
        ('level_of(code) != "error"', 'level_of(code) == "error"', "errors come last", TOGETHER),
    ],
    "rlhf/feedback/findings/entries.py": [
        ("opinion = opinion + 1 if isinstance(record, Ranking) and before == (where, name) else 0", "opinion = 0",
         "a row of three annotators is three rows", REPEATS),
        ('line[0] in "123456789"', "True", "a line with a leading zero changes", TOGETHER),
        ("hashes = [digest(response.strip()) for response in responses]", "hashes = [digest(response) for response in responses]",
         "equal responses but for a blank", REPEATS),
    ],
    "rlhf/feedback/findings/repeats.py": [
        ('elif (asked := self._prompts', 'if (asked := self._prompts', "a row again is a prompt again", REPEATS),
        ("annotator = entry.annotator or \"\"", 'annotator = ""', "several annotators are duplicates", REPEATS),
        ("return f\"{sorted(hashes)} {said}\"", "return f\"{hashes} {said}\"", "the same row with its responses changed round", REPEATS),
        ("(*(sorted((hashes[i], hashes[j])) if p == 0.5 else (hashes[i], hashes[j])), p)", "(*sorted((hashes[i], hashes[j])), p)",
         "the opposite label is the same row", REPEATS),
        ("row = digest(entry.split, str(entry.key), annotator, _content(entry))", "row = digest(str(entry.key), annotator, _content(entry))",
         "a leak is a duplicate", REPEATS),
        ("if (code, name) not in self._told:", "if True:", "one leak is counted for each row", REPEATS),
        ("_LEFT_OUT if group == entry.group else _KEPT", "_LEFT_OUT", "a leak that stays in evaluation", REPEATS),
        ("if int_or_none(entry.group) == entry.key:", "if int_or_none(entry.group) is not None:", "a group that looks like a hash", REPEATS),
    ],
    "rlhf/feedback/findings/near.py": [
        ("SHARE = 0.7\n", "SHARE = 0.75\n", "seven of ten is not enough"),
        ("SIZE = 8\n", "SIZE = 5\n", "5-grams"),
        ("number >= SHARE * len(telling)", "number > SHARE * len(telling)", "exactly the share does not count"),
        ("number >= SHARE * len(telling)", "number >= SHARE * len(grams)", "a template hides what is near"),
        ("elif prompts is not None and len(prompts) < MOST_PROMPTS:", "elif prompts is not None:", "a template makes every prompt near"),
        ("elif prompts is not None and len(prompts) < MOST_PROMPTS:", "elif prompts is not None and len(prompts) < MOST_PROMPTS - 1:",
         "20 prompts make a template"),
        ("if self._held_out and entry.key not in self._known:", "if self._held_out:", "rows of one prompt make it a template"),
        ("            if key in self._known:\n                continue\n", "", "leaks are counted as near, too"),
        ("key=lambda item: (-item[1], item[0])", "key=lambda item: item[0]", "the first that shares anything is taken for the nearest"),
        ('unicodedata.normalize("NFC", text)', "text", "composed and decomposed letters differ"),
        ("return _WORD.findall(text.casefold())", "return _WORD.findall(text)", "capitals differ"),
        ("lists = [self._found.get(gram) for gram in grams if not gram & self._mask]", "lists = [self._found.get(gram, _NONE) for gram in grams]",
         "grams that were not kept count as unseen"),
    ],
    "rlhf/feedback/findings/orders.py": [
        ("add(p if i < j else 1.0 - p)", "add(p)", "a pair named the other way round is turned"),
        ("((i, j, p >= 0.5), (j, i, p <= 0.5))", "((i, j, p > 0.5), (j, i, p < 0.5))", "ties dropped"),
        ("        if len(said) > 1:\n            continue\n", "        if len(said) > 1:\n            said = {min(said)}\n", "contradictions make cycles"),
        ("tied = () if cycle else _shortest_cycle(better, either)", "tied = () if cycle else _shortest_cycle(either, either)", "ties alone are a cycle"),
        ("if way and (not best or len(way) + 1 < len(best)):", "if way and not best:", "the first cycle is taken for the shortest"),
        ("for one, other, holds in ((i, j, p >= 0.5), (j, i, p <= 0.5)):", "for one, other, holds in ((j, i, p >= 0.5), (i, j, p <= 0.5)):",
         "the circle is told backwards"),
    ],
    "rlhf/feedback/findings/judgements.py": [
        ("own = (entry.place, entry.opinion) if entry.opinion and record.annotator is None else None", "own = None",
         "the nameless of one row contradict themselves", REPEATS),
        ("name = (digest(entry.split, str(entry.key)), record.annotator, own)", "name = (digest(entry.split, str(entry.key)), None, own)",
         "annotators who differ contradict themselves"),
        ("name = (digest(entry.split, str(entry.key)), record.annotator, own)", "name = (entry.key, record.annotator, own)", "splits taken together"),
        ("if len(rows) == 1 and rows[0].fits:", "if len(rows) == 1:", "a cycle inside a row is not looked for"),
        ('code = "cycle" if disorder.cycle else "intransitive_tie"', 'code = "cycle"', "ties that fit no order are an error"),
        ("if any(len(pair) == 1 for pair in strict):", "if False:", "what the reader noted is counted again"),
    ],
    "rlhf/feedback/findings/balance.py": [
        ("positions[i < j] += 1", "positions[i > j] += 1", "first and second changed"),
        ("if total < FEWEST or not counts[False]:", "if total < FEWEST:", "chosen before rejected is a preference"),
        ("self._longer[lengths[i] > lengths[j]] += 1", "self._longer[lengths[i] < lengths[j]] += 1", "longer and shorter changed"),
        ("                if lengths[i] != lengths[j]:\n", "                if True:\n", "equal lengths are a loss of the longer one"),
        ("if total >= FEWEST and max(share, 1 - share) > LENGTH:", "if total >= FEWEST and share > LENGTH:", "shorter ones that win are not seen"),
        ("self._overlaps |= first != record.annotator", "self._overlaps |= first == record.annotator", "one annotator agrees with himself"),
        ("positions = self._positions.setdefault(self._places.file(entry.place), Counter())", "positions = self._positions.setdefault(\"\", Counter())",
         "a file of pairs makes a labelled one look lopsided"),
    ],
    "rlhf/feedback/findings/contents.py": [
        ("if (code, entry.where) not in self._noted:", "if True:", "what the reader noted is counted again"),
        ('broken and sign.code == "control_characters"', "False", "mojibake is counted twice"),
        ("if any(before == after for before, after in pairwise(speakers)):", "if len(set(speakers)) == 1 < len(speakers):", "two in a row among others"),
        ('r"\\n\\n(?:Human|Assistant|User):|', 'r"(?:Human|Assistant|User):|', "said inside a turn"),
        ('|\\n(?:Human|User):")', '")', "the other side's turn behind a single line break is not seen"),
        ('|\\n(?:Human|User):")', '|\\n(?:Human|Assistant|User):")', "a line of a person's words is a turn"),
        ('"<[#"', '"<["', "Alpaca's headings are not seen"),
        ('re.compile("[\\ud800-\\udfff]")', 're.compile("[\\ud800-\\udbff]{2}")', "half a pair is not seen"),
    ],
    "rlhf/feedback/codes.py": [
        ('"leak": (', '"leaks": (', "a code that is not in the catalogue", ("tests/feedback/test_codes.py",)),
    ],
}
