"""Wrong versions of reading and of sequences on disk; the form is that of tests/maths/wrong_versions.py."""

from __future__ import annotations

from tests.maths.wrong_versions import Entry

# fmt: off
WRONG_VERSIONS: dict[str, list[Entry]] = {
    "rlhf/feedback/shelf.py": [
        ("start, end = self._starts[place], self._starts[place + 1]", "start, end = self._starts[place], self._starts[-1] // 2",
         "items read with the ends of others"),
        ("        self._written = self._starts[-1]\n", "", "what is in the file is looked for in the buffer"),
        ("if halves[2 * number] == first and halves[2 * number + 1] == second:", "if True:",
         "two things in one slot are the same"),
        ("            slot = self._slot(self._halves[2 * number], self._halves[2 * number + 1])\n",
         "            slot = number\n", "a ledger that grows forgets"),
        ("weakref.finalize(self, os.close, self._file)", "pass", "files stay open"),
        ("return list, (list(self),)", "return list, ()", "nothing arrives in another process"),
    ],
    "rlhf/feedback/mixture.py": [
        ("return whole + (place_of(group, f\"weight/{seed}\") < weight - whole)", "return whole + (weight > whole)",
         "a broken weight rounded up"),
        ("f\"weight/{seed}\"", "\"weight\"", "the seed draws nothing"),
        ("for _ in range(repeats_of(item))", "for _ in range(1)", "weights above 1 without effect"),
        ("            if repeats:\n", "            if True:\n", "a share keeps everything"),
        ("group_of(record), weight, seed", "str(id(record)), weight, seed", "drawn by row, and another one each time"),
    ],
    "rlhf/feedback/arrow.py": [
        ("number += some.num_rows", "number += 1", "rows of tables with wrong numbers"),
        ("if not end.endswith(mark + _END_OF_STREAM):", "if False:", "a stream that was cut off passes for a whole one"),
        ("before + place)", "before)", "a bad row with the place of another"),
    ],
    "rlhf/feedback/hub.py": [
        ("if wanted is None and len(splits) == 1:", "if wanted is None:", "the first split taken where several are there"),
        ("\"force_redownload\" if _is_stale(builder) else None", "None", "rows of a folder as they were last week"),
        ("value if feature is None or value is None", "value if True", "mixed columns as the text of their JSON"),
        ("return {_name(source, split): \", \".join([*sorted(commits), *local, fingerprint])}",
         "return {_name(source, split): \", \".join([*local, fingerprint])}", "another commit of a set goes unnoticed"),
    ],
}
