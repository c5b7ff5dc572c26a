"""Wrong versions of reward learning from rankings; the form is that of tests/maths/wrong_versions.py."""

from __future__ import annotations

from tests.maths.wrong_versions import Entry

TRAINED = "tests/ranking/test_training.py::"
MICROBATCHES = (f"{TRAINED}test_inv54_microbatches_do_not_matter",)
PLACKETT_LUCE = (
    f"{TRAINED}test_inv80_plackett_luce_by_hand_leaves_out_what_has_no_rank",
    f"{TRAINED}test_dropped_ties_are_dropped_from_plackett_luce_too",
)
TOGETHER = ("tests/ranking/test_two_processes.py::test_inv69_two_processes_end_with_the_weights_of_one",)

# fmt: off
WRONG_VERSIONS: dict[str, list[Entry]] = {
    "rlhf/ranking/batch.py": [
        ("if ties == \"soft\" or pair[2] != 0.5]", "]", "dropped ties are trained on"),
        ("if ties == \"soft\" or pair[2] != 0.5]", "if pair[2] != 0.5]", "ties always dropped"),
        ("\"num_prompts\": torch.tensor(len(rankings))", "\"num_prompts\": torch.tensor(len(labelled))",
         "every pair a batch element: long rankings weigh more"),
        ("\"num_prompts\": torch.tensor(len(rankings))", "\"num_prompts\": torch.tensor(len(places))",
         "every response a batch element"),
        ("sequences = [ids for ranking in rankings for ids in ranking.ids]",
         "sequences = [ranking.ids[k] for ranking in rankings for i, j, _ in ranking.comparisons for k in (i, j)]",
         "a response goes through the model once for each of its pairs"),
        ("[rank or 0 for rank in ranking.ranks]", "[rank or 1 for rank in ranking.ranks]",
         "unranked responses taken for the best"),
        ("len(ranks) >= 2 and (ties == \"soft\" or len(set(ranks)) >= 2)", "len(ranks) >= 2",
         "rankings of one rank kept where ties are dropped: loss 0"),
        ("return bool(usable_comparisons(ranking, ties))", "return bool(ranking.comparisons)",
         "prompts of ties alone count in the mean"),
        ("mask[rows, columns] = True", "mask[rows, columns] = values.detach() != 0",
         "a score of exactly 0 taken for padding"),
        ("table.index_put((rows, columns), values)", "table.index_put((rows, columns), values.detach())",
         "scores without gradient"),
        ("table.index_put((rows, columns), values)", "values.new_zeros(shape).flatten().index_put((torch.arange(len(values)),), values).reshape(shape)",
         "scores filled in row by row: prompts with fewer responses get others' scores"),
    ],
    "rlhf/ranking/opinions.py": [
        ("p if a < b else 1.0 - p", "p", "a vote written the other way round"),
        ("alone = len(set(responses)) < len(responses)", "alone = False",
         "equal responses of a prompt confused with each other"),
        ("else (j, i, 1.0 - p) for", "else (j, i, p) for", "the minority wins"),
        ("(i, j, fmean(of_pair))", "(i, j, float(fmean(of_pair) >= 0.5))", "shares of votes rounded to a majority"),
        ("(i, j, fmean(of_pair))", "(i, j, of_pair[-1])", "the last labeler alone"),
        ("in usable_comparisons(ranking, ties):", "in ranking.comparisons:", "dropped ties are votes"),
        ("(tuple(ranking.prompt_ids), tuple(responses))", "tuple(responses)",
         "the same answer to another question is the same"),
        ("places = [place[tuple(ids)] for ids in ranking.response_ids]", "places = list(range(len(place)))",
         "labelers taken to have seen the responses in one order"),
    ],
    "rlhf/ranking/sharing.py": [
        ("position += range(len(prompt), len(prompt) + len(response))",
         "position += range(len(position), len(position) + len(response))",
         "positions run on over the neighbours (packing)"),
        ("earlier & ((key == query) | (key == PROMPT))", "earlier & (key >= PROMPT)",
         "responses see their neighbours (packing without a mask)"),
        ("earlier & ((key == query) | (key == PROMPT))", "earlier & (key == query)",
         "responses do not see their prompt"),
        ("(earlier & ((key == query) | (key == PROMPT)))", "((key == query) | (key == PROMPT))",
         "tokens see what comes after them"),
        ("ends.append((b, len(row) - 1))", "ends.append((b, len(row) - 2))", "score read before the end token"),
        ("return None if apart <= tolerance else", "return None if True else",
         "shared where the architecture cannot keep responses apart"),
        ("        module.training = mode", "        pass", "left in evaluation mode by the attempt"),
        ("    critic.eval()\n", "", "compared with dropout on: never shared"),
        ("tried = [max(rankings, key=row_length), max(rankings, key=lambda r: max(map(len, r.ids)))]",
         "tried = [max(rankings, key=row_length)]", "tried on short responses only"),
    ],
    "rlhf/ranking/trainer.py": [
        ("self.loss_is_scaled_for_ga = True", "self.loss_is_scaled_for_ga = False",
         "divided by the micro-batches once more", MICROBATCHES),
        ("own = torch.stack([batch[\"num_prompts\"] for batch in batch_samples]).sum().to(device)",
         "own = batch_samples[0][\"num_prompts\"].to(device)", "loss adds up over micro-batches", MICROBATCHES),
        ("if centring_coef:", "if False:", "centring penalty ignored",
         (f"{TRAINED}test_inv38_centring_penalty_moves_the_mean",)),
        ("drop_ties=ties == \"drop\"", "drop_ties=False", "ties compared in Plackett-Luce", PLACKETT_LUCE),
        ("mask & (batch[\"ranks\"] > 0)", "mask", "unranked responses (rank 0) taken for the best", PLACKETT_LUCE),
        ("if loss == \"pairwise\":", "if True:", "Plackett-Luce asked for, pairs trained", PLACKETT_LUCE),
        ("value = value * self.accelerator.num_processes", "pass",
         "loss halved by the average over two processes", TOGETHER),
        ("return self.accelerator.gather(own).sum()", "return own",
         "divided by the prompts of one process", TOGETHER),
    ],
    "rlhf/ranking/training.py": [
        ("RankingCollator(pad_token_id, ties, share_prompts=shared)", "RankingCollator(pad_token_id, share_prompts=shared)",
         "the setting for ties does not reach the batches",
         (f"{TRAINED}test_inv16_batches_come_in_the_order_of_the_seed_with_the_ties_as_asked_for",)),
        ("share_prompts and _choose_sharing(reader, rankings, pad_token_id)", "share_prompts",
         "shared without trying whether that works", ("tests/ranking/test_sharing.py",)),
    ],
    "rlhf/ranking/assessment.py": [
        ("    model.eval()\n", "", "measured with dropout on"),
        ("model.train(was_training)", "pass", "left in evaluation mode by a measurement"),
        ("(i + offset, j + offset, p) for i, j, p", "(i, j, p) for i, j, p",
         "a second labeler's pairs point at the first one's scores"),
        ("key = tuple(ranking.prompt_ids)", "key = (len(pooled_scores),)", "interval over labelers instead of prompts"),
        ("(place[ranking.responses[i]], place[ranking.responses[j]], p)", "(i, j, p)",
         "labelers taken to have seen the responses in one order"),
        ("strict = [_strict_pairs(of_prompt) for of_prompt in judged]", "strict = labels",
         "accuracy by the judge measured on the labels"),
        ("pair_accuracy(*_by_prompt(rankings, judged, labels))", "pair_accuracy(*_by_prompt(rankings, scores, labels))",
         "the judge's own accuracy is the model's"),
        ("prompts = [ranking.prompt for ranking in rankings for _ in ranking.responses]",
         "prompts = [ranking.prompt for ranking in (*rankings, *rankings[-1:] * 9) for _ in ranking.responses[:2]][: sum(len(r.responses) for r in rankings)]",
         "the judge is asked about another prompt"),
    ],
    "rlhf/ranking/centring.py": [
        ("recentre(reward_model, shift)", "recentre(reward_model, -shift)", "moved away from 0"),
        ("    if num_ended:\n", "    if False:\n", "centred on scores of cut responses too"),
        ("    if num_ended:\n", "    if True:\n", "nothing to centre on where all were cut"),
        ("reward_model, reading, batch_size", "reward_model, None, batch_size",
         "an encoder calibrated on the policy's ids", ("tests/test_encoders.py",)),
        ("    reward_model.eval()\n", "", "calibrated with dropout on"),
        ("temperature=temperature,", "temperature=0.0,", "calibrated on the likeliest responses, which PPO never samples"),
    ],
}
# fmt: on
