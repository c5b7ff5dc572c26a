"""Wrong versions of what sources say: whose turn, which response, which group; as in tests/maths/wrong_versions.py."""

from __future__ import annotations

from tests.maths.wrong_versions import Entry

TALKS = "tests/feedback/test_conversations.py"
BETTER = (f"{TALKS}::test_the_better_response_of_a_pair_is_imitated",)
GROUPS = (f"{TALKS}::test_groups_that_presets_name",)
READ_IN = ("tests/feedback/test_read_in.py::test_a_setting_changes_what_is_read_or_is_refused",)
BAD = ("tests/feedback/test_bad_files.py",)
OWN = ("tests/settings/test_own_data.py",)

# fmt: off
WRONG_VERSIONS: dict[str, list[Entry]] = {
    "rlhf/feedback/conversations.py": [
        ('("assistant", "gpt", "bot", "chatgpt", "model", "ai"), "assistant"', '("assistant", "gpt", "bot"), "assistant"), **dict.fromkeys(("chatgpt", "model", "ai"), "user"',
         "what models said is what people asked", (f"{TALKS}::test_each_name_of_a_role",)),
        ("text if before else text.removeprefix(lead)", "text", "the space after a marker is learnt",
         (f"{TALKS}::test_the_space_after_a_marker_is_not_the_response",)),
        ('if value[-1].get("weight", 1) == 0:', "if False:", "messages of weight 0 are trained on", BAD),
    ],
    "rlhf/feedback/stated.py": [
        (" <= _MARKERS", " <= _MARKERS or True", "what a prompt says beside the turns is lost", (TALKS,)),
        ('sorted(others, key=len, reverse=True)', "()", "a rendered conversation says something else", (TALKS,)),
        ('r"<[^<>]*>|\\[/?\\w+\\]"', 'r"<[^<>]*>"', "[INST] says something", (TALKS,)),
        ("(?!\\w)", "", "the beginning of a word is a turn", (TALKS,)),
        (".search(whole, end)", ".search(whole)", "turns in any order", (TALKS,)),
    ],
    "rlhf/feedback/looking.py": [
        ("            self._ended = error\n", "            self._first.append(error)\n", "what ends a file is one bad row",
         ("tests/feedback/test_looking.py",)),
    ],
    "rlhf/feedback/detection/contradictions.py": [
        ("high < low", "high > low", "agreement is a contradiction"),
        ("high < low", "high <= low", "equal scores contradict"),
    ],
    "rlhf/feedback/detection/named_winner.py": [
        ("number_in(value) is None", "True", "numbers that are alike by chance are names"),
        ("says_yes(value) is None", "True", "flags that are alike by chance are names"),
        ("len(value) > 1", "True", "letters that are alike by chance are names"),
        ("not (moves or texts)", "not moves", "texts of responses take label_values"),
        ("not (moves or texts)", "False", "models that stand still take no label_values"),
    ],
    "rlhf/training/loop.py": [
        ("value.clone() if place in seen else value", "value", "tensors of two names cannot be written",
         ("tests/test_seq2seq.py::test_inv73_a_reward_model_goes_on_from_a_checkpoint_bitwise",)),
    ],
    "rlhf/feedback/preset_table.py": [
        ('"response": "response_j",', '"response": "response_k",', "the worse answer is imitated (stack-exchange)", BETTER),
        ('{"format": "pair", "prompt": None, "response": "chosen"},\n    ),\n    "argilla', '{"format": "pair", "prompt": None, "response": "rejected"},\n    ),\n    "argilla',
         "the worse answer is imitated (skywork)", BETTER),
        ('("instruction", "input"), "response": "chosen"}', '("instruction", "input"), "response": "rejected"}',
         "the worse answer is imitated (llama-factory)", BETTER),
        ('            "label_values": {1: "first", 0: "second"},\n            "group": "post_id",\n', '            "label_values": {1: "first", 0: "second"},\n',
         "one post on both sides of a split (SHP)", GROUPS),
        ('"group": "prompt_id"}', '"id": "prompt_id"}', "two rows of one prompt are refused", GROUPS),
        ('**dict.fromkeys((1, 2, 3), "second")', '**dict.fromkeys((1, 3), "second"), 2: "first"', "one step of the scale the other way round (HelpSteer)",
         (f"{TALKS}::test_every_step_of_a_signed_scale",)),
    ],
    "rlhf/feedback/columns.py": [
        ('unicodedata.normalize("NFC", text).casefold()', "text.casefold()", "a letter composed in another way is another group",
         (f"{TALKS}::test_letters_composed_in_two_ways_are_one_group",)),
        ("return name if name is None or name.strip() else None", "return name", "an empty cell is an annotator",
         (f"{TALKS}::test_empty_cells_name_nobody",)),
        ('return "" if value is None else check_text(value, spec, row.where)', "return check_text(value, spec, row.where)", "a null system text stops",
         (f"{TALKS}::test_system_that_is_null_is_none_and_one_that_is_not_read_is_counted",)),
        ('if not messages or (messages[-1].role == "user" and not messages[-1].content.strip()):', "if not messages:", "an empty question is answered", BAD),
    ],
    "rlhf/feedback/turns.py": [
        ("key=len, reverse=True", "key=len", "a marker that begins with the other one is read as that",
         ("tests/feedback/test_turns.py::test_marker_that_begins_with_the_other_one",)),
    ],
    "rlhf/feedback/scores.py": [
        ("tuple((places[i], places[j], p) for i, j, p in pairs)", "tuple((i, j, p) for i, j, p in pairs)",
         "pairs slide to other responses where a score is missing and ties fit no order", ("tests/feedback/test_scores.py::test_pairs_keep_their_places_where_a_score_is_missing",)),
    ],
    "rlhf/feedback/labels.py": [
        ("        return False  # of pairs that are not labelled", "        return True  # of pairs that are not labelled", "labels of some pairs count as a circle",
         (f"{TALKS}::test_labels_of_some_pairs_are_partial_and_no_circle",)),
    ],
    "rlhf/feedback/paths.py": [
        ('if "{" in rest or "}" in rest:', "if False:", "an unclosed brace is every prompt", BAD),
        ("    if not paths:\n", "    if False:\n", "a template without a column is every prompt", BAD),
    ],
    "rlhf/feedback/mapping_checks.py": [
        ('    "ranks": ("canonical",),\n', '    "ranks": ("canonical", "pair"),\n', "ranks accepted and ignored beside a pair", READ_IN),
        ('    "replies": ("tree",),\n', "", "replies accepted and ignored by every format", ("tests/feedback/test_read_in.py::test_every_setting_is_told_apart",)),
        ('("auto", *_STRENGTH_IN[where])', "_STRENGTH_IN[where]", "strengths refused where the format is found out",
         ("tests/feedback/test_read_in.py::test_strength_from_is_taken_where_the_format_is_found",)),
    ],
    "rlhf/feedback/reading.py": [
        ("and not (is_met and before[0] == row[0]):", "and not is_met:", "one file read twice by two sources", (f"{TALKS}::test_annotators_of_one_id_are_one_prompt",)),
        ("repr((prompt.id, prompt.messages))", "repr(prompt.id)", "one id for two prompts", (f"{TALKS}::test_annotators_of_one_id_are_one_prompt",)),
    ],
    "rlhf/settings/shared.py": [
        ("    if not left:\n", "    if True:\n", "own training data measured on the small world without a word", OWN),
    ],
}
