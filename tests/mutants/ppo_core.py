"""Wrong versions of PPO's verbs and of what they train; the form is that of tests/maths/wrong_versions.py."""

from __future__ import annotations

from tests.maths.wrong_versions import Entry

STEPS = "tests/ppo/test_steps.py::test_"
CONTROLS = "tests/ppo/test_controls.py::test_"
GROUPS = "tests/ppo/test_groups.py::test_"
UPDATE = "tests/ppo/test_update.py::test_"
BY_STEP = "tests/ppo/test_update_steps.py::test_"
SUM = ("tests/ppo/test_objective.py",)
RANKS = ("tests/ppo/test_in_threads.py::test_inv49_inv54_inv68_inv69_two_ranks_learn_what_one_learns",)
KL_0 = (f"{STEPS}inv33_kl_is_exactly_0_while_the_policy_is_the_reference",)
ADDED_UP = (f"{STEPS}inv31_inv32_rewards_add_up_to_score_minus_penalty",)
PENALISED = (f"{STEPS}inv35_the_kl_in_the_reward_is_policy_against_reference",)
RULES = (f"{STEPS}inv22_rules_for_missing_ends_touch_the_score_only",)
PADDING = (f"{STEPS}inv19_padding_is_0_at_every_station",)
FROZEN = (f"{STEPS}inv50_nothing_in_experience_has_a_gradient",)
RAW = (f"{STEPS}inv48_inv49_returns_come_from_raw_advantages_and_whitening_is_over_the_batch",)
BEFORE = (f"{STEPS}values_stand_before_the_token_that_they_judge",)
JUNK = (f"{STEPS}inv45_values_at_padding_leave_credit_unchanged",)
SAMPLED = (f"{STEPS}inv02_kl_is_of_the_distributions_that_were_sampled_from",)
ROWS = (f"{STEPS}inv42_scores_stay_with_their_rows",)
LENGTH = (f"{CONTROLS}each_token_costs_the_length_penalty",)
INITIAL = (f"{CONTROLS}inv38_initial_normalisation_gives_mean_0_and_spread_1_and_stays_as_it_is",)
MOMENTS = (f"{CONTROLS}inv22_inv38_what_is_replaced_moves_no_moments",)
SCORE_ONLY = (f"{CONTROLS}inv37_normalising_touches_the_score_and_not_the_kl",)
WHITE_REWARDS = (f"{CONTROLS}inv49_whitened_rewards_have_variance_1_and_keep_their_mean",)
STOP = (f"{CONTROLS}inv59_an_update_stops_once_its_kl_is_too_large",)
LEFT_OUT = (f"{GROUPS}leave_one_out_by_hand",)
NORMALISED = (f"{GROUPS}group_normalised_has_mean_0_and_spread_1_in_each_group",)
COMPARED = (f"{GROUPS}the_kl_is_part_of_what_is_compared_only_where_it_is_in_the_reward",)
FIRST = (f"{UPDATE}inv01_inv09_ratio_is_exactly_1_before_the_first_step",)
TOKEN_MEAN = (f"{UPDATE}inv54_gradient_is_that_of_the_mean_over_the_tokens_of_the_optimizer_step",)
VISITED = (f"{UPDATE}inv55_every_sample_is_visited_epochs_times_and_every_minibatch_is_a_step",)
CLIPPED = (f"{UPDATE}inv57_gradients_are_clipped_and_the_norm_before_is_reported",)
SCALED = (
    "tests/ppo/test_loss_scaling.py::test_inv57_inv72_scaled_losses_leave_policy_and_critic_where_plain_ones_do",
)
MEANS = (f"{UPDATE}inv56_statistics_are_means_over_tokens_and_steps",)
INFINITE = (f"{UPDATE}a_loss_that_is_not_finite_stops_before_the_step_and_says_why",)
MOVES = (f"{UPDATE}inv39_reference_and_reward_model_do_not_move_while_policy_and_critic_do",)
TEXT = (
    "tests/ppo/test_ptx_in_update.py::test_inv60_the_gradient_is_that_of_ppo_plus_the_coefficient_times_that_of_the_text",
)
NO_TEXT = (
    "tests/ppo/test_ptx_in_update.py::test_inv60_inv76_text_does_not_move_the_policy_while_the_critic_warms_up",
)
ALONE = ("tests/ppo/test_trunk.py::test_inv76_updates_of_the_critic_alone_leave_the_policy_bitwise_as_it_is",)

# fmt: off
WRONG_VERSIONS: dict[str, list[Entry]] = {
    "rlhf/ppo/steps.py": [
        ("found = (token_logprobs(logits, ids, temperature),", "found = (token_logprobs(logits, ids),",
         "temperature missing in the old log-probabilities (trlx)", KL_0),
        ("entropy(logits, temperature))", "entropy(logits, 1.0))", "temperature missing in the entropy",
         (f"{STEPS}inv02_entropy_is_of_the_distribution_that_was_sampled_from",)),
        ("        temperature=temperature,\n        seed=seed,", "        temperature=1.0,\n        seed=seed,",
         "sampled at temperature 1, trained at another",
         (f"{STEPS}inv02_entropy_is_of_the_distribution_that_was_sampled_from",)),
        ("logits, ids = response_logits(learner, part)", "logits, ids = response_logits(learner, part)\n        ids = ids.roll(1, 1)",
         "old log-probabilities one place late", FIRST),
        ("[align_left(values, part) for values in found]", "[values for values in found]",
         "right-aligned log-probabilities taken for left-aligned ones", FIRST),
        ("result[index, : found.shape[1]] = torch.where", "result[: len(index), : found.shape[1]] = torch.where",
         "every microbatch written over the first", KL_0 + FIRST),
        ("torch.where(kept, found, torch.zeros_like(found))", "found", "junk past the ends of responses", PADDING),
        ("    with torch.no_grad():\n        for index in", "    with torch.enable_grad():\n        for index in",
         "old values and log-probabilities keep their graph", FROZEN),
        ("tuple(renderer.decode_response(ids) for ids in generation.responses())",
         "tuple(renderer.decode_response(ids) for ids in reversed(generation.responses()))",
         "texts of other rows are scored", (f"{STEPS}inv42_texts_stay_with_their_rows",)),
        ("        rows=rows,\n        batch_size", "        rows=None,\n        batch_size",
         "every process draws the same noise", RANKS),
        ("moments.update(kept_scores(raw_scores, generation, rules), reduce)",
         "moments.update(kept_scores(raw_scores, generation, rules), None)", "moments per rank", RANKS),
        ("    if rules is None or rules.missing_eos_score is None:\n        return raw_scores\n", "",
         "cut scores left out though they count", MOMENTS),
        ("    return raw_scores[generation.ended.to(raw_scores.device)]", "    return raw_scores",
         "moments of scores that are replaced", MOMENTS),
        ("    if moments is not None and moving:", "    if moments is not None:",
         "every rollout moves the moments of the calibration", INITIAL),
        ("    scores = final_scores(raw_scores, generation, rules, moments)",
         "    scores = final_scores(raw_scores, generation, rules, None)", "scores not normalised", INITIAL),
        ("raw_scores=raw_scores,", "raw_scores=scores,", "raw scores normalised, clipped and penalised", RULES),
        ("token_scores=final_token_scores(given.tokens.to(device), generation, rules),", "token_scores=torch.zeros_like(given.tokens),",
         "scores of tokens lost", (f"{STEPS}inv31_scores_of_tokens_are_rewards_at_their_tokens",)),
        ("    return torch.where(generation.ended.to(token_scores.device)[:, None], token_scores, 0.0)", "    return token_scores",
         "a replaced score added to those of the tokens",
         ("tests/ppo/test_controls.py::test_inv22_a_replaced_score_replaces_those_of_the_tokens_too",)),
        ("    scores = raw_scores if moments is None else moments.normalise(raw_scores)\n    scores = clip_scores(scores, rules.score_clip)\n",
         "    scores = clip_scores(raw_scores, rules.score_clip)\n    scores = scores if moments is None else moments.normalise(scores)\n",
         "score normalised after clipping", (f"{STEPS}inv22_inv37_rules_apply_in_their_order",)),
        ("    return subtract_length_penalty(scores, num_tokens, rules.length_penalty)",
         "    return clip_scores(subtract_length_penalty(scores, num_tokens, rules.length_penalty), rules.score_clip)",
         "length penalty before the clip", (f"{STEPS}inv22_inv37_rules_apply_in_their_order",)),
        ("    scores = clip_scores(scores, rules.score_clip)\n    ended = generation.ended.to(scores.device)\n",
         "    ended = generation.ended.to(scores.device)\n    scores = clip_scores(subtract_missing_eos_penalty(scores, ended, rules.missing_eos_penalty), rules.score_clip)\n    rules = ScoreRules(length_penalty=rules.length_penalty, missing_eos_score=rules.missing_eos_score)\n",
         "missing-EOS penalty before the clip", RULES),
        ("replace_missing_eos_score(scores, ended,", "replace_missing_eos_score(scores, ~ended,",
         "EOS trick turned round: ended responses are replaced", RULES),
        ("subtract_missing_eos_penalty(scores, ended, rules.missing_eos_penalty)",
         "subtract_missing_eos_penalty(scores, ended, -rules.missing_eos_penalty)", "reward for a missing EOS", RULES),
        ("num_tokens, rules.length_penalty)", "num_tokens, -rules.length_penalty)", "every token is paid for", LENGTH),
        ("    num_tokens = generation.response_mask.sum(1).to(scores.device)",
         "    num_tokens = torch.full_like(scores, generation.response_mask.shape[1])",
         "length penalty of the padded length", LENGTH),
    ],
    "rlhf/ppo/credit.py": [
        ("logprobs_with_gradient(reference, part, scored.temperature)", "logprobs_with_gradient(reference, part, 1.0)",
         "temperature missing in the reference's log-probabilities (DeepSpeed-Chat)", KL_0),
        ("torch.where(mask, kl_k1(compared.old_logprobs, compared.ref_logprobs), 0.0)",
         "kl_k1(compared.old_logprobs, compared.ref_logprobs)", "ref compared without mask", PENALISED),
        ("kl_k1(compared.old_logprobs, compared.ref_logprobs)", "kl_k1(compared.ref_logprobs, compared.old_logprobs)",
         "KL with the sign turned round", PENALISED),
        ("kl_k1(compared.old_logprobs, compared.ref_logprobs)", "kl_k1(compared.old_logprobs, compared.ref_logprobs).abs()",
         "absolute log-ratio penalised: no longer the KL", (*ADDED_UP, f"{STEPS}inv34_the_penalty_of_a_token_may_be_negative")),
        ("price = kl_coef if kl_in == \"reward\" else 0.0", "price = kl_coef",
         "KL added in the reward although it is in the loss", COMPARED),
        ("price = kl_coef if kl_in == \"reward\" else 0.0", "price = 0.0 if kl_in == \"reward\" else kl_coef",
         "KL in the reward where it was to be in the loss and the other way round", ADDED_UP),
        ("kl=kl, rewards=rewards, kl_coef=kl_coef)", "kl=kl, rewards=rewards, kl_coef=price)",
         "KL in the loss weighs nothing", SUM),
        ("price, token_scores=compared.token_scores)", "price)", "scores of tokens never rewarded",
         (f"{STEPS}inv31_scores_of_tokens_are_rewards_at_their_tokens",)),
        ("rewards = rescale(rewards, mask, reduce=reduce)", "rewards = whiten(rewards, mask, reduce=reduce)",
         "rewards whitened with the mean shifted", WHITE_REWARDS),
        ("rewards = rescale(rewards, mask, reduce=reduce)", "rewards = rescale(rewards, mask)",
         "rewards whitened per rank", RANKS),
        ("rewards = rescale(rewards, mask, reduce=reduce)", "rewards = rescale(rewards, torch.ones_like(mask), reduce=reduce)",
         "padding counted in the variance of the rewards", WHITE_REWARDS),
        ("    if whiten_rewards:", "    if True:", "rewards always whitened", ADDED_UP),
        ("gae(rewarded.rewards, old_values, mask, gamma, gae_lambda)",
         "gae(rewarded.rewards, old_values, mask, gae_lambda, gamma)", "gamma and lambda swapped",
         (f"{STEPS}inv44_credit_discounts_by_gamma_and_lambda",)),
        ("gae(rewarded.rewards, old_values, mask, gamma, gae_lambda)",
         "gae(rewarded.rewards, old_values, torch.ones_like(mask), gamma, gae_lambda)", "credit flows through padding", JUNK),
        ("whiten(raw_advantages, mask, reduce=reduce)", "whiten(raw_advantages, mask)", "advantages whitened per rank", RANKS),
        ("whiten(raw_advantages, mask, reduce=reduce)", "whiten(raw_advantages, torch.ones_like(mask), reduce=reduce)",
         "padding counted in the whitening", RAW),
        ("advantages=credited, returns=returns)", "advantages=credited, returns=credited + old_values)",
         "returns after whitening (torchtune)", RAW),
        ("if whiten_advantages else raw_advantages", "if True else raw_advantages", "whitened whatever is asked", RAW),
        ("values = values_before(learner, ids, mask, num_response_tokens, aside)", "values = learner(ids, mask)[:, -num_response_tokens:]",
         "values read one place late: they know the token", BEFORE),
        ("    return align_left(values, generation)", "    return values", "right-aligned values taken for left-aligned ones",
         (f"{STEPS}inv05_values_of_the_learner_are_those_of_each_row_alone",)),
        ("    totals = rewarded.rewards.sum(1)", "    totals = rewarded.scores", "KL left out of what is compared", COMPARED),
        ("    totals = rewarded.rewards.sum(1)", "    totals = rewarded.rewards.mean(1)",
         "mean over padding compared instead of the sum", LEFT_OUT),
        ("    every = every if reduce is None else reduce(every)\n", "", "group statistics per process", RANKS),
        ("compare_within(every, samples_per_prompt)", "compare_within(every, len(every))",
         "leave-one-out over the whole batch", LEFT_OUT),
        ("compare_within(every, samples_per_prompt)[rows]",
         "compare_within(every.reshape(samples_per_prompt, -1).T.flatten(), samples_per_prompt).reshape(-1, samples_per_prompt).T.flatten()[rows]",
         "samples of other prompts compared (tile instead of repeat_interleave)", LEFT_OUT),
        ("if method == \"leave_one_out\" else group_normalised", "if method != \"leave_one_out\" else group_normalised",
         "RLOO for GRPO and the other way round", NORMALISED),
        ("samples_per_prompt)[rows]", "samples_per_prompt)[: len(rows)]", "advantages of the first process's rows", RANKS),
        ("compare_within(every, samples_per_prompt)[rows], rewarded", "compare_within(every, samples_per_prompt)[rows] / len(totals), rewarded",
         "advantages divided by the batch", LEFT_OUT),
    ],
    "rlhf/ppo/objective.py": [
        ("align_left(token_logprobs(logits, ids, experience.temperature), part)", "align_left(token_logprobs(logits, ids), part)",
         "temperature missing in the new log-probabilities (LLaMA-Factory)", (*SUM, *FIRST)),
        ("spread = align_left(entropy(logits, experience.temperature), part)", "spread = align_left(entropy(logits), part)",
         "temperature missing in the entropy bonus"),
        ("align_left(entropy(logits, experience.temperature), part)", "entropy(logits, experience.temperature)",
         "entropy bonus of padding"),
        ("loss + objective.entropy_coef * entropy_term", "loss - objective.entropy_coef * entropy_term",
         "entropy punished instead of rewarded"),
        ("loss = loss + experience.kl_coef * kl_term", "loss = loss + kl_term", "KL in the loss at weight 1"),
        ("loss = loss + experience.kl_coef * kl_term", "loss = loss - experience.kl_coef * kl_term", "paid to leave the reference"),
        ("        loss = loss + experience.kl_coef * kl_term\n", "        pass\n", "KL in the loss computed and never added"),
        ("        targets.ref_logprobs,\n        targets.old_logprobs,", "        targets.old_logprobs,\n        targets.ref_logprobs,",
         "KL from the policy that sampled instead of the reference"),
        ("        estimator=estimator,", "        estimator=\"k2\",", "estimator of the KL loss ignored"),
        ("        clip_range_high=objective.clip_range_high,\n", "", "upper clip range ignored"),
        ("        dual_clip=objective.dual_clip,\n", "", "dual clip ignored"),
        ("        objective.value_clip_range,\n", "        None,\n", "value clip ignored"),
        ("        objective.value_clip_range,\n", "        objective.clip_range,\n", "values clipped at the policy's range"),
        ("loss = loss + objective.value_coef * value_term", "loss = loss + value_term", "value coefficient ignored"),
        ("    if not policy_counts:\n", "    if False:\n", "the policy pulled along while the critic warms up"),
        ("    if not policy_counts:\n        loss = 0.0 * loss", "    if not policy_counts:\n        loss = zero",
         "no gradient for the policy: wrappers wait for it", (f"{SUM[0]}::test_inv76_the_critic_alone_has_a_loss_without_the_policys_terms",)),
        ("_value_term(align_left(values, part), targets, objective)", "_value_term(values, targets, objective)",
         "right-aligned values against left-aligned returns"),
        ("\"num_tokens\": divisor,", "\"num_tokens\": int(mask.sum()),", "loss divided per microbatch (TRL 1.12)", (*SUM, *TOKEN_MEAN)),
        ("\"num_tokens\": divisor,", "\"num_tokens\": mask.numel(),", "loss divided by padded tokens"),
        ("if objective.loss_average == \"responses\" else None", "if objective.loss_average == \"tokens\" else None",
         "token mean and response mean mixed up"),
        ("        return values[rows, : mask.shape[1]]", "        return values[: len(rows), : mask.shape[1]]",
         "targets of other rows"),
        ("old_logprobs=chosen(experience.old_logprobs),", "old_logprobs=chosen(experience.ref_logprobs),",
         "ratio to the reference instead of the policy that sampled"),
        ("advantages=chosen(experience.advantages),", "advantages=chosen(experience.returns),", "returns in the place of advantages"),
        ("advantages=chosen(experience.advantages),", "advantages=chosen(experience.rewards),", "rewards in the place of advantages"),
        ("returns=chosen(experience.returns),", "returns=chosen(experience.rewards),", "the critic learns rewards instead of returns"),
        ("returns=chosen(experience.returns),", "returns=chosen(experience.advantages) + chosen(experience.old_values),",
         "the critic learns whitened returns"),
        ("old_values=chosen(experience.old_values),", "old_values=chosen(experience.returns),", "values clipped around the returns"),
        ("return logits, ids[:, -num_response_tokens:], values", "return logits, ids[:, -num_response_tokens - 1 : -1], values",
         "logits after each token instead of before it"),
        ("(logprobs - targets.old_logprobs)[targets.mask].expm1()", "(logprobs - logprobs)[targets.mask].expm1()",
         "the alarm of the first ratio is always silent"),
        ("(logprobs - targets.old_logprobs)[targets.mask].expm1().abs().max()", "(logprobs - targets.old_logprobs)[targets.mask].expm1().max()",
         "a ratio below 1 is no error", (f"{BY_STEP}inv01_the_first_ratio_is_that_of_the_first_step",)),
    ],
    "rlhf/ppo/update.py": [
        ("    return float(every.max())", "    return value", "a wrong ratio on another process is not told",
         ("tests/ppo/test_in_threads.py::test_inv01_a_ratio_that_is_wrong_on_another_rank_is_told_by_the_first",)),
        ("    counts: Any = accelerator.reduce(torch.tensor(own, device=mask.device), \"sum\")",
         "    counts = torch.tensor(own) * accelerator.num_processes", "tokens counted per rank", RANKS),
        ("mask.sum(1) if objective.loss_average == \"tokens\" else mask.any(1).long()", "mask.sum(1)",
         "responses averaged over tokens", (f"{BY_STEP}inv54_a_minibatch_is_divided_by_its_own_tokens_or_responses",)),
        ("mask.sum(1) if objective.loss_average", "torch.full_like(mask[:, 0], mask.shape[1], dtype=torch.long) if objective.loss_average",
         "divided by padded tokens", TOKEN_MEAN),
        ("divisors[place], objective)", "divisors[0], objective)", "every minibatch divided by the tokens of the first",
         (f"{BY_STEP}inv54_a_minibatch_is_divided_by_its_own_tokens_or_responses",)),
        ("divisors[place], objective)", "sum(divisors), objective)", "divided by the tokens of the rollout", TOKEN_MEAN + MEANS + (f"{BY_STEP}inv54_a_minibatch_is_divided_by_its_own_tokens_or_responses",)),
        ("first_step + num_steps)\n", "first_step)\n", "ptx text of an update's first step in all of its steps",
         ("tests/ppo/test_ptx_in_update.py::test_inv60_every_optimizer_step_of_a_run_learns_from_its_own_text",)),
        ("first_step + num_steps)\n", "num_steps)\n", "ptx step index starts anew with every update", TEXT),
        ("gradients.ratio_error if num_steps == 0 else first_ratio_error", "gradients.ratio_error",
         "ratio of the last step called the first", (f"{BY_STEP}inv01_the_first_ratio_is_that_of_the_first_step",)),
        ("optimizer.zero_grad(set_to_none=True)\n", "pass\n", "gradients of earlier steps added up",
         (f"{BY_STEP}inv54_no_gradient_of_an_earlier_step_is_left",)),
        ("stop = early_stop_kl is not None and stats[\"approx_kl\"] > early_stop_kl", "stop = False", "early stop that never stops", STOP),
        ("stop = early_stop_kl is not None and stats[\"approx_kl\"] > early_stop_kl", "stop = early_stop_kl is not None",
         "early stop at the first step", STOP),
        ("        if stop:\n            break\n    return", "    return", "early stop ends an epoch, and the next begins", STOP),
        ("stats[\"approx_kl\"] > early_stop_kl", "abs(stats[\"policy_loss\"]) > early_stop_kl", "early stop by the loss", STOP),
        ("stats[\"approx_kl\"] > early_stop_kl", "totals[\"approx_kl\"] > early_stop_kl", "early stop by the sum over the steps", STOP),
        ("totals[name] / num_steps for name", "totals[name] / (ppo_epochs * len(divisors)) for name",
         "means over steps that an early stop left out", STOP),
        ("[policy_optimizer] if train_policy else []", "[policy_optimizer]", "critic warm-up that steps the policy (weight decay, Adam's momentum)", ALONE),
        ("        if scaler is None:\n            optimizer.step()", "        if True:\n            optimizer.step()",
         "float16: accelerate's step updates the scaler, so the critic's gradients are unscaled twice", SCALED),
        ("        scaler.update()\n", "        pass\n", "float16: a scale that never adapts", SCALED),
        ("    moving += [] if critic_optimizer is None else [critic_optimizer]", "    moving += []",
         "the critic's optimizer never steps", MOVES),
        ("[] if critic_optimizer is None else", "[] if critic_optimizer is None or not train_policy else",
         "nobody moves while the critic warms up", ALONE),
        ("ptx if train_policy else None,", "ptx,", "ptx moves the policy while the critic warms up", NO_TEXT),
        ("before_step(num_steps)", "before_step(0)", "learning rate of the first step in all steps", VISITED),
        ("stats = gradients.finish(max_grad_norm)", "stats = gradients.finish(None)", "gradients measured, never clipped (TRL 1.12)", CLIPPED),
        ("            stats[name] = clip_gradients(trained, max_grad_norm)",
         "            stats[name] = clip_gradients(trained, max_grad_norm if \"policy\" in name else None)",
         "gradients of the critic not clipped", CLIPPED),
        ("            (\"critic_grad_norm\", inner.critic_parameters()),",
         "            (\"critic_grad_norm\", inner.critic_parameters() + inner.policy_parameters()),",
         "critic clipped by the norm of both", CLIPPED),
        ("float(torch.nn.utils.clip_grad_norm_(trained, limit))", "min(limit, float(torch.nn.utils.clip_grad_norm_(trained, limit)))",
         "norm after clipping reported", CLIPPED),
        ("        _check_finite(stats, experience, number, num_steps, scaled=accelerator.scaler is not None)\n        _step(policy_optimizer, critic_optimizer, train_policy, accelerator.scaler)\n",
         "        _step(policy_optimizer, critic_optimizer, train_policy, accelerator.scaler)\n        _check_finite(stats, experience, number, num_steps, scaled=accelerator.scaler is not None)\n",
         "a step with nan taken, then the error", INFINITE),
        ("    if not bad:\n", "    if True:\n", "nan learned from silently", INFINITE),
        ("self.accelerator.backward(terms.loss * self.accelerator.num_processes)", "self.accelerator.backward(terms.loss)",
         "loss not multiplied by the processes that gradients are averaged over", RANKS),
        ("self.accelerator.backward(ptx.coef * loss * self.accelerator.num_processes)", "self.accelerator.backward(ptx.coef * loss)",
         "text weighs less the more processes there are", RANKS),
        ("if number + 1 < len(microbatches):", "if number < len(microbatches):", "no_sync on the last microbatch: ranks drift apart", RANKS),
        ("if number + 1 < len(microbatches):", "if False:", "no_sync forgotten: ranks wait at every microbatch", RANKS),
        ("        with self.accelerator.no_sync(self.learner):\n            for loss", "        if True:\n            for loss",
         "no_sync forgotten for text", RANKS),
        ("backward(ptx.coef * loss *", "backward(loss *", "coefficient of the text ignored", TEXT),
        ("self.sums[-1] += loss.detach()", "self.sums[-1] += ptx.coef * loss.detach()", "loss of the text reported with its coefficient", TEXT),
        ("self.sums[:-1] += terms.stats", "self.sums[:-1] = terms.stats", "statistics of the last microbatch alone (TRL 1.12)", MEANS),
        ("reduced: Any = self.accelerator.reduce(self.sums, \"sum\")", "reduced: Any = self.sums * self.accelerator.num_processes",
         "statistics and early stop per rank", RANKS),
        ("max(self.ratio_error, terms.ratio_error)", "terms.ratio_error", "first ratio of the last microbatch alone",
         (f"{BY_STEP}inv01_the_first_ratio_is_that_of_the_first_step",)),
    ],
}
# fmt: on
