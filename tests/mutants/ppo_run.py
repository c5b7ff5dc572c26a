"""Wrong versions of PPO's run: iteration, loop, parts, average, callbacks, text; form as the maths' wrong versions."""

from __future__ import annotations

from tests.maths.wrong_versions import Entry

CONTROLS = "tests/ppo/test_controls.py::test_"
AVERAGES = "tests/ppo/test_averaged.py::test_"
GROUPS = "tests/ppo/test_groups.py::test_"
UPDATE = "tests/ppo/test_update.py::test_"
CALLBACKS = "tests/ppo/test_callbacks.py::test_"
SETTINGS = ("tests/ppo/test_iteration.py::test_every_number_of_the_recipe_reaches_the_verb_that_it_is_for",)
COUNTS = (
    "tests/ppo/test_iteration.py::test_inv36_counters_and_controller_after_an_update_with_several_samples",
)
NOISE = ("tests/ppo/test_iteration.py::test_inv16_every_update_draws_noise_of_its_own",)
REPEATED = (f"{GROUPS}inv15_row_i_times_n_plus_j_belongs_to_prompt_i",)
AVERAGED = (f"{AVERAGES}inv77_the_average_is_the_recursion_over_the_updates_and_is_what_is_evaluated",)
BEST_AVERAGE = (f"{AVERAGES}inv77_the_best_weights_are_the_averaged_ones_where_those_are_evaluated",)
OWN_AGAIN = (f"{AVERAGES}the_policy_is_bitwise_its_own_again_after_its_average_stood_in",)
RUNNING = (f"{CONTROLS}inv37_running_normalisation_takes_in_every_rollout_and_survives_a_resume",)
OFFLOAD = (f"{AVERAGES}frozen_models_are_on_the_device_only_while_they_are_used",)
SHIFT = (f"{CONTROLS}inv58_an_early_stop_does_not_shift_the_schedule",)
SCHEDULE = (f"{UPDATE}inv58_learning_rates_follow_the_schedule_step_by_step",)
RATES = (f"{UPDATE}inv61_adam_epsilon_is_1e_5_and_the_rates_are_separate",)
CHECKPOINTING = (f"{UPDATE}inv71_gradients_are_equal_with_gradient_checkpointing",)
BFLOAT16 = (f"{UPDATE}inv01_inv09_inv33_inv72_in_bfloat16_the_ratio_is_as_exactly_1_and_the_kl_0",)
KL_0 = ("tests/ppo/test_steps.py::test_inv33_kl_is_exactly_0_while_the_policy_is_the_reference",)
APART = ("tests/ppo/test_steps.py::test_inv39_reward_model_and_critic_share_no_tensor",)
ALONE = ("tests/ppo/test_trunk.py::test_inv76_updates_of_the_critic_alone_leave_the_policy_bitwise_as_it_is",)
WARM = ("tests/ppo/test_trunk.py::test_inv76_after_the_warm_up_the_policy_moves",)
RANKS = (
    "tests/ppo/test_in_threads.py::test_inv37_inv38_the_moments_at_the_start_are_of_the_scores_of_all_ranks",
)
CALLED = (f"{CALLBACKS}inv75_callbacks_are_called_after_updates_evaluations_and_saves",)
ENDED = (f"{CALLBACKS}inv75_a_callback_ends_the_run_early_with_an_evaluation_and_it_stays_ended",)
SEVERAL = (f"{CALLBACKS}inv75_every_callback_is_called_and_any_may_stop",)
ANYWHERE = f"{CALLBACKS}inv75_an_end_asked_for_anywhere_comes_after_that_update_with_its_evaluation"
ON_SAVE = (ANYWHERE,)
KNOWN = (f"{CALLBACKS}inv59_inv75_an_end_that_one_process_asks_for_is_known_to_all_after_the_same_call",)
NAMED = (f"{CALLBACKS}a_callback_that_fails_is_named_with_its_line",)
LOOP = "tests/ppo/test_loop.py::test_"
ADAPTIVE = (f"{LOOP}inv36_the_adaptive_controller_counts_the_episodes_of_all_processes",)
ONCE = (f"{GROUPS}every_prompt_is_taken_once_an_epoch_also_with_several_samples",)
BEST = ("tests/ppo/test_checkpoint.py::test_the_best_weights_are_kept_and_come_back",)
NOTED = (f"{LOOP}the_first_the_last_and_the_best_evaluation_are_noted",)
INTERRUPT = ("tests/ppo/test_checkpoint.py::test_inv75_an_interrupt_saves_and_the_run_goes_on",)
CALIBRATED = ("tests/ppo/test_iteration.py::test_inv38_inv73_a_resumed_run_keeps_the_moments_of_its_start",)
SAID = ("tests/ppo/test_diagnostics.py::test_a_run_says_a_trouble_once_also_where_it_is_resumed",)
WATCH = ("tests/ppo/test_diagnostics.py::test_a_resumed_run_is_told_the_same_and_nothing_twice",)
PTX = "tests/ppo/test_ptx.py::test_"
PTX_ROWS = "tests/ppo/test_ptx_rows.py::test_"
TEXT_ORDER = (f"{PTX_ROWS}every_row_comes_once_a_pass_in_an_order_of_the_seed_and_the_step_alone",)
TEXT_MEAN = (f"{PTX}inv60_the_loss_is_the_mean_over_predicted_tokens_and_its_gradient_that_of_a_naive_loop",)
TEXT_RANKS = (f"{PTX_ROWS}inv54_inv69_processes_take_disjoint_rows_that_are_together_those_of_one",)
TEXT_CUT = (f"{PTX}inv54_gradient_does_not_depend_on_the_cut_of_the_batch",)
TEXT_SHARED = (f"{PTX}text_loss_is_the_same_however_the_rows_are_shared_out",)
EVALUATION = "tests/ppo/test_evaluation.py::test_"
TRAINED_ON = (f"{EVALUATION}inv22_inv37_the_objective_is_of_the_score_that_is_trained_on",)
HELD_OUT = (f"{EVALUATION}a_held_out_scorer_and_text_are_measured_beside_the_score",)
MOMENTS = (f"{CONTROLS}inv22_inv38_what_is_replaced_moves_no_moments",)
COMPARE = (f"{EVALUATION}inv37_inv38_scores_of_evaluations_compare_whatever_is_normalised",)
TOKENS = (f"{EVALUATION}scores_of_tokens_count_in_score_and_objective",)

# fmt: off
WRONG_VERSIONS: dict[str, list[Entry]] = {
    "rlhf/ppo/iteration.py": [
        ("    with _timed(seconds, \"update\"):\n        stats = learn(parts, recipe, experience, number)\n    if recipe.ema_decay is not None:\n        advance_average(parts, recipe.ema_decay)\n",
         "    if recipe.ema_decay is not None:\n        advance_average(parts, recipe.ema_decay)\n    with _timed(seconds, \"update\"):\n        stats = learn(parts, recipe, experience, number)\n",
         "EMA updated before the step", AVERAGED),
        ("advance_average(parts, recipe.ema_decay)", "advance_average(parts, 1 - recipe.ema_decay)", "EMA with swapped decay", AVERAGED),
        ("        advance_average(parts, recipe.ema_decay)", "        pass", "EMA that stays at the start", AVERAGED),
        ("metrics[\"ppo/kl\"], recipe.rollout_batch_size)", "metrics[\"ppo/kl\"], len(prompts))", "controller counts prompts instead of episodes", COUNTS),
        ("metrics[\"ppo/kl\"], recipe", "metrics[\"ppo/approx_kl\"], recipe", "controller follows the KL from the last policy", COUNTS),
        ("metrics[\"ppo/kl\"], recipe", "metrics[\"ppo/kl_per_token\"], recipe", "controller follows the KL of a token", COUNTS),
        ("        parts.kl_controller.update(metrics[\"ppo/kl\"], recipe.rollout_batch_size)\n", "        pass\n", "adaptive controller never updated", ADAPTIVE),
        ("    if number > recipe.critic_warmup_updates:  #", "    if True:  #", "the KL coefficient falls while the critic learns alone",
         (f"{LOOP}inv36_inv76_while_the_critic_learns_alone_the_controller_waits",)),
        ("progress.num_prompts += len(prompts)", "progress.num_prompts += recipe.rollout_batch_size", "prompts skipped where each has several samples", COUNTS),
        ("progress.num_episodes += recipe.rollout_batch_size", "progress.num_episodes += len(prompts)", "episodes counted by prompts", COUNTS),
        ("progress.num_optimizer_steps += stats.num_optimizer_steps", "progress.num_optimizer_steps += recipe.steps_per_update",
         "steps counted that an early stop left out", SHIFT),
        ("derive_seed(recipe.seed, \"rollout\", number)", "derive_seed(recipe.seed, \"rollout\")", "the same noise in every update", NOISE),
        ("derive_seed(recipe.seed, \"rollout\", number)", "recipe.seed + number", "seed 1 update 2 draws what seed 2 update 1 draws", NOISE),
        ("[prompt for prompt in prompts for _ in range(recipe.samples_per_prompt)]", "[prompt for _ in range(recipe.samples_per_prompt) for prompt in prompts]",
         "samples repeated in the wrong order (tile instead of repeat_interleave)", REPEATED),
        ("        rows=rows,\n", "        rows=[row // recipe.samples_per_prompt for row in rows],\n", "same noise for all samples of a prompt",
         (f"{GROUPS}inv15_the_samples_of_a_prompt_differ",)),
        ("moving=recipe.score_normalisation == \"running\"", "moving=parts.moments is not None", "calibration moments updated again later", CALIBRATED),
        ("moving=recipe.score_normalisation == \"running\"", "moving=False", "running moments that never run", RUNNING),
        ("            rules=recipe.score_rules,\n            moments=parts.moments,\n            moving=True", "            moments=parts.moments,\n            moving=True", "calibrated on scores that are replaced", MOMENTS),
        ("            moments=parts.moments,\n            moving=recipe", "            moments=None,\n            moving=recipe", "score normalisation ignored", RUNNING),
        ("            rules=recipe.score_rules,\n            moments=parts.moments,\n            moving=recipe", "            moments=parts.moments,\n            moving=recipe", "clip and penalties of the recipe ignored", SETTINGS),
        ("kl_coef=parts.kl_controller.kl_coef", "kl_coef=recipe.kl_coef", "adaptive coefficient computed and never used", COUNTS),
        ("            kl_in=recipe.kl_in,\n", "", "KL always in the reward", SETTINGS),
        ("            whiten_rewards=recipe.whiten_rewards,\n", "", "reward whitening ignored", SETTINGS),
        ("            method=recipe.advantages,\n", "", "always GAE", SETTINGS),
        ("            gamma=recipe.gamma,\n            gae_lambda=recipe.gae_lambda,", "            gamma=recipe.gae_lambda,\n            gae_lambda=recipe.gamma,", "gamma and lambda of the recipe swapped", SETTINGS),
        ("            whiten_advantages=recipe.whiten_advantages,\n", "", "advantages always whitened", SETTINGS),
        ("        temperature=recipe.temperature,", "        temperature=1.0,", "temperature of the recipe ignored", SETTINGS),
        ("            moving=True,\n            reduce=parts.add_up,\n", "            moving=True,\n", "calibrated on the scores of one rank", RANKS),
        ("parts.moments.count < FEW_TO_CALIBRATE", "False", "all scores divided by the deviation of two, and nothing said",
         ("tests/ppo/test_iteration.py::test_inv38_a_calibration_on_hardly_any_response_is_told",)),
        ("            moving=True,\n", "", "calibration that calibrates nothing",
         (f"{CONTROLS}inv38_initial_normalisation_gives_mean_0_and_spread_1_and_stays_as_it_is",)),
        ("first_step = (number - 1) * recipe.steps_per_update",
         "first_step = int(max((float(s[\"step\"]) for s in parts.policy_optimizer.state.values()), default=0))",
         "LR schedule by taken steps", SHIFT),
        ("first_step = (number - 1) * recipe.steps_per_update", "first_step = number * recipe.steps_per_update", "LR schedule one update ahead", SCHEDULE),
        ("            first_step + step,\n", "            step,\n", "LR schedule begins anew with every update", SCHEDULE),
        ("            first_step + step,\n", "            first_step,\n", "learning rate moves once an update", SCHEDULE),
        ("(parts.critic_optimizer, recipe.critic_learning_rate),", "(parts.critic_optimizer, recipe.learning_rate),", "critic trained at the policy's rate", SETTINGS),
        ("train_policy=number > recipe.critic_warmup_updates", "train_policy=number >= recipe.critic_warmup_updates", "critic warm-up one update short", ALONE),
        ("train_policy=number > recipe.critic_warmup_updates", "train_policy=recipe.critic_warmup_updates == 0", "the policy never moves after a warm-up", WARM),
        ("        early_stop_kl=recipe.early_stop_kl,\n", "", "early stop ignored", SETTINGS),
        ("        max_grad_norm=recipe.max_grad_norm,\n", "", "gradient clip of the recipe ignored", SETTINGS),
        ("        ppo_epochs=recipe.ppo_epochs,\n", "", "one epoch whatever is asked", SETTINGS),
        ("        ptx=parts.ptx,\n", "", "text never learned from", SETTINGS),
        ("        seed=recipe.seed,\n        number=number,\n", "", "minibatches in the same order in every update", SETTINGS),
    ],
    "rlhf/ppo/loop.py": [
        ("        if progress.update == 0:\n            session.evaluate()\n", "", "no evaluation before the first update", CALLED),
        ("        if progress.update == 0:\n            session", "        if True:\n            session", "evaluated again where it is resumed",
         ("tests/ppo/test_checkpoint.py::test_inv73_a_resumed_run_is_bitwise_the_unbroken_one",)),
        ("while progress.update < recipe.num_updates and not progress.ended:", "while progress.update < recipe.num_updates:", "callbacks' stop ignored", ENDED),
        ("any_requested(wanted or self.progress.ended, self.parts.accelerator)", "any_requested(self.progress.ended, self.parts.accelerator)",
         "callbacks called, their stop not looked at", ENDED),
        ("any_requested(wanted or self.progress.ended, self.parts.accelerator)", "any_requested(wanted, self.parts.accelerator)",
         "a stop forgotten with the next event", ENDED),
        ("any_requested(wanted or self.progress.ended, self.parts.accelerator)", "wanted or self.progress.ended",
         "one process ends, the others wait for it for ever", KNOWN),
        ("last = self.progress.ended or update == self.recipe.num_updates", "last = update == self.recipe.num_updates",
         "ended early without a last evaluation", SEVERAL),
        ("last = self.progress.ended or update == self.recipe.num_updates", "last = False", "no evaluation at the end", SEVERAL),
        ("        if progress.last_evaluated != progress.update:", "        if False:", "ended while saving, without a last evaluation", ON_SAVE),
        ("        if progress.last_evaluated != progress.update:", "        if True:", "the last evaluation made twice", (ANYWHERE,)),
        ("order.take(progress.num_prompts,", "order.take(0,", "the same prompts in every update", ONCE),
        ("    elif recipe.score_normalisation == \"initial\":", "    if recipe.score_normalisation == \"initial\":",
         "calibrated again, on a trained policy, where it is resumed", CALIBRATED),
        ("    elif recipe.score_normalisation == \"initial\":", "    elif False:", "never calibrated", CALIBRATED),
        ("using_average(self.parts, self.habits.evaluate_average)", "using_average(self.parts, False)", "the trained weights evaluated for the averaged", AVERAGED),
        ("            if note_evaluation(self.progress, found) and self.run.is_main:\n                save_best(self.run, self.parts, self.progress)\n",
         "        if note_evaluation(self.progress, found) and self.run.is_main:\n            save_best(self.run, self.parts, self.progress)\n",
         "best weights saved from the trained instead of the averaged", BEST_AVERAGE),
        ("not (evaluation.objective > best or", "not (evaluation.objective < best or", "the worst kept for the best", NOTED),
        ("best is not None and not (evaluation.objective > best or math.isnan(best))", "best is not None and evaluation.objective <= best", "nan kept for the best, and then every evaluation", NOTED),
        ("    if best is not None and not (", "    if False and not (", "the last kept for the best", NOTED),
        ("    if progress.first_evaluation is None:\n        progress", "    if True:\n        progress", "the last evaluation called the first", NOTED),
        ("        if stop or _due(update, habits.checkpoint_every):", "        if _due(update, habits.checkpoint_every):", "stopped without a checkpoint", INTERRUPT),
        ("        if stop:\n            raise KeyboardInterrupt", "        if stop:\n            self.progress.ended = True", "an interrupted run called finished", INTERRUPT),
        ("        record_findings(self.run, self.parts.watch.look(step, metrics))\n", "", "diagnostics never asked", SAID),
        ("        self.run.metrics.append({\"step\": step, **metrics})", "        self.run.metrics.append({**metrics, \"step\": step + 1})", "metrics one step late",
         (f"{LOOP}every_row_of_metrics_carries_the_updates_done",)),
    ],
    "rlhf/ppo/parts.py": [
        ("            for model in models:\n                model.to(\"cpu\")", "            pass", "models that never leave the device", OFFLOAD),
        ("        for model in models:\n            model.to(self.accelerator.device)\n        try:", "        try:", "offload that never comes back", OFFLOAD),
        ("        if not self.offload:\n", "        if self.offload:\n", "offload turned round", OFFLOAD),
        ("    with parts.at_hand(reference, *models_of(scorer)):\n        pass  # from now on they are where they are between uses\n", "",
         "frozen models on the device until they are first used", ("tests/ppo/test_parts.py::test_frozen_models_leave_the_device_before_training",)),
        ("        disable_dropout(model)\n", "        if model is learner:\n            disable_dropout(model)\n", "dropout left on in the reference", KL_0),
        ("        disable_dropout(model)\n", "        if model is reference:\n            disable_dropout(model)\n", "dropout left on in policy and critic", KL_0),
        ("    freeze_all_but(reference, learner)\n", "", "the reference can be trained", APART),
        ("        for transformer in learner.transformers():", "        for transformer in learner.transformers()[:1]:", "checkpointing for the policy alone", CHECKPOINTING),
        ("    enable({\"use_reentrant\": False})\n    assert is_checkpointing(target)\n", "", "gradient checkpointing ignored (TRL 1.12)", CHECKPOINTING),
        ("weight.detach().float().clone()", "weight.detach()", "the average is the weights themselves", AVERAGED),
        ("learner.critic_parameters(), recipe.critic_learning_rate, recipe)", "learner.critic_parameters(), recipe.learning_rate, recipe)",
         "critic's optimizer at the policy's rate", RATES),
        ("        betas=(0.9, recipe.adam_beta2),\n", "", "Adam's betas ignored", RATES),
        ("        eps=recipe.adam_epsilon,\n", "", "Adam's epsilon left at 1e-8", RATES),
        ("        weight_decay=recipe.weight_decay,\n", "", "AdamW's own weight decay of 0.01", ("tests/ppo/test_parts.py::test_weight_decay_is_that_of_the_recipe",)),
        ("reference = accelerator.prepare_model(reference, evaluation_mode=True)", "pass", "reference at another precision than the policy", BFLOAT16),
        ("if recipe.kl_controller == \"fixed\":", "if True:", "adaptive controller asked for, fixed made", ADAPTIVE),
        ("AdaptiveKLController(recipe.kl_coef, recipe.kl_target, recipe.kl_horizon)", "AdaptiveKLController(recipe.kl_coef, recipe.kl_horizon, recipe.kl_target)",
         "target and horizon swapped", ADAPTIVE),
    ],
    "rlhf/ppo/averaged.py": [
        ("if not wanted or parts.average is None:", "if parts.average is None:", "the average evaluated unasked",
         ("tests/ppo/test_parts.py::test_inv77_an_average_that_is_not_asked_for_is_not_evaluated",)),
        ("    finally:\n        put_in_place(weights, kept)", "    finally:\n        pass", "average not restored: training goes on from it", AVERAGED),
        ("        yield\n    finally:\n        put_in_place(weights, kept)", "        yield\n        put_in_place(weights, kept)\n    finally:\n        pass",
         "average left in the policy after an error", OWN_AGAIN),
        ("weight.detach().clone() for name, weight in weights.items()}\n    try:", "weight.detach() for name, weight in weights.items()}\n    try:",
         "kept weights overwritten with the average", AVERAGED),
        ("        put_in_place(weights, parts.average)\n", "        put_in_place(parts.average, weights)\n", "weights put into the average", AVERAGED),
    ],
    "rlhf/ppo/callbacks.py": [
        ("    return asked", "    return False", "a callback's stop is not returned", ENDED),
        ("asked = state.stop = asked or state.stop", "asked = state.stop", "the last callback takes back what another asked for", SEVERAL),
        ("                method(state)\n", "                method(state)\n            break\n", "only the first callback called", SEVERAL),
        ("getattr(callback, event, None)", "getattr(callback, event)", "a callback must have every method", ENDED),
        ("            with failures_named(f\"callback {type(callback).__name__}.{event}\"):\n                method(state)", "            method(state)",
         "a callback's error without its name", NAMED),
    ],
    "rlhf/ppo/ptx.py": [
        ("return -_sum_logprobs(forward, part) / num_tokens", "return -_sum_logprobs(forward, part) / len(part.ids)", "ptx divided by rows", TEXT_MEAN),
        ("return -_sum_logprobs(forward, part) / num_tokens", "return -_sum_logprobs(forward, part) / part.predicted.sum()", "ptx divided per microbatch", TEXT_CUT),
        ("return -_sum_logprobs(forward, part) / num_tokens", "return _sum_logprobs(forward, part) / num_tokens", "text unlearned", TEXT_MEAN),
        ("self._order.take(step * self.batch_size, self.batch_size)", "self._order.take(0, self.batch_size)", "ptx step index constant", TEXT_ORDER),
        ("self._order.take(step * self.batch_size, self.batch_size)", "self._order.take(step, self.batch_size)", "batches of text overlap", TEXT_ORDER),
        ("derive_seed(seed, \"ptx\")", "seed", "text in the order of the prompts", (f"{PTX_ROWS}the_order_has_nothing_in_common_with_that_of_the_prompts",)),
        ("sum(row.num_predicted for row in chosen)", "sum(row.num_predicted for row in own)", "text divided by the tokens of a rank", TEXT_RANKS),
        ("own_rows(batch_size, process_index, num_processes)", "own_rows(batch_size, 0, 1)[: batch_size // num_processes]", "every process reads the same text", TEXT_RANKS),
        ("predicted = mask & (torch.arange(ids.shape[1]) >= given[:, None])", "predicted = mask", "prompts of demonstrations learned, too",
         (f"{PTX_ROWS}inv20_inv24_of_a_demonstration_the_response_and_its_end_token_are_predicted",)),
        (">= given[:, None])", "> given[:, None])", "first token of a response not learned", TEXT_MEAN),
        ("predicted = mask & (", "predicted = (ids != pad_token_id) & (", "mask of the text from ids: pad == eos is not learned",
         (f"{PTX}inv17_inv60_the_pad_id_may_be_any_even_the_end_token",)),
        ("token_logprobs(logits, part.ids[:, 1:])", "token_logprobs(logits, part.ids[:, :-1])", "text learned to repeat itself", TEXT_MEAN),
        ("if len(rows) < batch_size:", "if False:", "text too short for a batch", (f"{PTX}inv69_fewer_rows_than_a_batch_is_an_error_and_no_hang",)),
        ("            if len(piece) > 1:\n", "            if len(piece) == max_tokens:\n", "last row of text dropped",
         (f"{PTX_ROWS}texts_become_rows_of_one_stream_with_an_end_token_after_each_document",)),
        ("    if reduce is not None:", "    if False:", "held-out loss of one rank", TEXT_SHARED),
        ("return TextLoss(total / num_tokens, num_tokens)", "return TextLoss(total / len(rows) if rows else 0.0, num_tokens)", "held-out loss a row", (f"{PTX}text_loss_by_hand",)),
    ],
    "rlhf/ppo/evaluation.py": [
        ("kept_scores(given.responses, generation, recipe.score_rules)", "given.responses", "evaluations normalised by scores that are replaced", MOMENTS),
        ("_totals(held_out_scorer, records, generation, texts)", "_totals(parts.scorer, records, generation, texts)", "held-out score from the trained scorer", HELD_OUT),
        ("found.metrics[\"evaluation/text_loss\"] = loss", "pass", "loss on text measured and lost", HELD_OUT),
        ("    moments = parts.evaluation_moments\n    final", "    moments = parts.moments\n    final", "evaluations normalised by moments that move", COMPARE),
        ("    moments = parts.evaluation_moments\n    final", "    moments = None\n    final", "objective in other units than the reward", COMPARE),
        ("    final = final + final_token_scores(given.tokens, generation, recipe.score_rules).sum(1)\n", "", "scores of tokens left out of the objective", TOKENS),
        ("\"score\": (given.responses + on_tokens).tolist()", "\"score\": given.responses.tolist()", "scores of tokens left out of the score", TOKENS),
        ("\"final_score\": final.tolist()", "\"final_score\": (given.responses + on_tokens).tolist()", "objective of the score before the rules", TRAINED_ON),
        ("means[\"kl\"] / means[\"response_tokens\"]", "means[\"kl\"] / len(rows)", "KL a token divided by rows", (f"{EVALUATION}kl_is_the_log_ratio_of_the_whole_response",)),
    ],
    "rlhf/ppo/checkpoint.py": [
        ("        write_manifest(folder)\n    _prune_best(run.path, progress)\n", "        write_manifest(folder)\n",
         "every best model of a run without checkpoints stays on the disk",
         ("tests/ppo/test_checkpoint.py::test_without_checkpoints_only_the_best_weights_are_kept",)),
        ("    parts.watch.load_state_dict(counters[\"watch\"])\n", "", "findings repeated after resume", SAID),
        ("(\"moments\", \"evaluation_moments\"):", "(\"evaluation_moments\",):", "moments of the scores start anew", RUNNING),
        ("        put_in_place(parts.average, models[\"average\"])\n", "        pass\n", "the average starts anew from the first weights",
         (f"{AVERAGES}inv77_inv73_the_average_is_saved_and_restored",)),
    ],
    "rlhf/ppo/diagnostics.py": [
        ("if rule.code in self._said or any(", "if any(", "a trouble told after every update", ("tests/ppo/test_diagnostics.py::test_a_trouble_is_told_once_and_nothing_else_is",)),
        ("{\"said\": sorted(self._said),", "{\"said\": [],", "what was said is not saved", WATCH),
        ("self._memory = Memory(**asdict(Memory(**state[\"memory\"])))", "pass", "what was seen is not restored", WATCH),
        ("if math.isfinite(value)}", "}", "nan compared with limits", ("tests/ppo/test_diagnostics.py::test_metrics_that_are_missing_or_not_finite_do_no_harm",)),
        ("if reference_is_policy or rule.code != \"kl_at_start\"]", "]", "warned of a reference that was asked for",
         ("tests/ppo/test_diagnostics.py::test_inv33_kl_that_does_not_start_at_0_is_told_unless_another_reference_was_asked_for",)),
    ],
    "rlhf/ppo/warning_rules/broken.py": [
        ("error <= FIRST_RATIO_ERROR", "error <= 1.0", "a wrong first ratio is not told", ("tests/ppo/test_diagnostics.py::test_inv01_a_first_ratio_that_is_not_1_is_told",)),
        ("seen.step(kl_name) > first_step or abs(kl) <= rounding", "seen.step(kl_name) > first_step or kl <= rounding", "a negative KL at the start is not told",
         ("tests/ppo/test_diagnostics.py::test_a_trouble_is_told_once_and_nothing_else_is",)),
        ("statistics.fmean(lead) <= STANDARD_ERRORS * statistics.stdev(lead) / math.sqrt(len(lead))", "statistics.fmean(lead) <= 0", "a few lucky cut responses are told as a trouble",
         ("tests/ppo/test_diagnostics.py::test_noise_and_small_amounts_are_left_in_peace",)),
        ("mean + STANDARD_ERRORS * error >= 0", "mean - STANDARD_ERRORS * error >= 0", "noise taken for a negative KL",
         ("tests/ppo/test_diagnostics.py::test_noise_and_small_amounts_are_left_in_peace", "tests/ppo/test_diagnostics.py::test_inv35_kl_of_responses_from_another_distribution_is_told",
          "tests/ppo/test_diagnostics.py::test_a_healthy_run_is_left_in_peace")),
    ],
    "rlhf/ppo/warning_rules/learning.py": [
        ("    if after <= before:\n        return None\n", "", "a worse policy called over-optimised", ("tests/ppo/test_diagnostics.py::test_a_fall_that_the_own_score_sees_too_is_not_over_optimisation",)),
        ("if not explained or max(explained) >= 0:", "if not explained or min(explained) >= 0:", "a critic blamed for one bad update", ("tests/ppo/test_diagnostics.py::test_noise_and_small_amounts_are_left_in_peace", "tests/ppo/test_diagnostics.py::test_a_healthy_run_is_left_in_peace")),
    ],
    "rlhf/ppo/warning_rules/memory.py": [
        ("                points.pop()\n", "                pass\n", "a step measured twice counts twice", ("tests/ppo/test_diagnostics.py::test_what_is_measured_again_at_the_same_step_counts_once",)),
        ("        if not name.startswith(\"evaluation/\"):\n", "        if True:\n", "the peak of the held-out score forgotten",
         ("tests/ppo/test_diagnostics.py::test_the_peak_of_the_held_out_score_is_never_forgotten",)),
    ],
}
# fmt: on
