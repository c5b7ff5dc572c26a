"""Wrong versions of the check of people's data and of what is written of it."""

from __future__ import annotations

from tests.maths.wrong_versions import Entry

EXAMPLES = ("tests/checking/test_examples.py",)
CHECK = ("tests/checking/test_check.py",)
MEASURES = ("tests/checking/test_measures.py",)

# fmt: off
WRONG_VERSIONS: dict[str, list[Entry]] = {
    "rlhf/checking/examples.py": [
        ("        ranking.responses[best],\n        ranking.responses[worst],",
         "        ranking.responses[worst],\n        ranking.responses[best],",
         "BEST shows the worst response", EXAMPLES),
        ("effort += sum(_off(len(text)) for text in responses)", "effort += _off(len(responses[0]))",
         "the example depends on which response is called better", EXAMPLES),
        ("if p != 0.5", "if True", "a tie shown as BEST and WORST", EXAMPLES),
    ],
    "rlhf/checking/problems.py": [
        ('bad if note.bad else "warning"', '"warning"', "bad rows are only warnings", CHECK),
        ('left_out = source.on_bad_row == "skip" and not', 'left_out = source.on_bad_row == "skip" or not',
         "bad rows that stop the training are no errors", CHECK),
    ],
    "rlhf/checking/check.py": [
        ('[replace(source, on_bad_row="skip", max_bad=1.0)]', "[source]", "the check stops at the first bad row", CHECK),
    ],
    "rlhf/checking/baselines.py": [
        ("(i + offset, j + offset, p)", "(i, j, p)", "responses of several rankings of a prompt mixed up", MEASURES),
        ("1.0 - found.value, 1.0 - found.high", "found.value, 1.0 - found.high", "shorter wins as often as longer", MEASURES),
    ],
    "rlhf/checking/lengths.py": [
        ("math.ceil(percent / 100 * len(ordered)) - 1", "int(percent / 100 * (len(ordered) - 1))",
         "a percentile that does not hold its share", MEASURES),
    ],
    "rlhf/feedback/written.py": [
        ("if all(rank is None for rank in record.ranks)", "if False", "labels in no order are lost",),
        ("for (i, j, _), strength in known}", "for (i, j, _), strength in known if i < j}",
         "strengths of pairs whose second response is better are lost"),
        ("        if p != 0.5:\n            yield ranking.responses[i]", "        if True:\n            yield ranking.responses[i]",
         "ties written as chosen and rejected"),
    ],
}
