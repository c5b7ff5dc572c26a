"""Wrong versions of what PPO trains and is scored by; the form is that of tests/maths/wrong_versions.py."""

from __future__ import annotations

from tests.maths.wrong_versions import Entry

SUM = ("tests/ppo/test_objective.py",)
ROW_ALONE = ("tests/ppo/test_steps.py::test_inv05_values_of_the_learner_are_those_of_each_row_alone",)
LEARNER = "tests/models/test_learner.py::test_"
HEAD = (f"{LEARNER}a_trunk_head_reads_the_last_hidden_state_before_the_token_it_values",)
FLOAT32 = (f"{LEARNER}inv72_a_trunk_head_values_in_float32_also_under_autocast",)
ONE_BASE = "tests/models/test_one_base.py::test_"
REFERENCE = (f"{ONE_BASE}inv64_where_sft_left_an_adapter_the_reference_is_base_and_adapter",)
IN_MEMORY = (
    f"{ONE_BASE}weights_are_in_memory_once",
    f"{ONE_BASE}a_share_holds_the_same_tensors_and_takes_no_adapter_of_another",
)
ENCODERS = ("tests/test_encoders.py::test_inv74_scores_are_the_logits_of_the_auto_class",)
SCORING = "tests/test_scoring_sources.py::test_"
ENSEMBLE = (f"{SCORING}an_ensemble_by_hand",)
SUMS = (f"{SCORING}sums_hold_tokens_and_responses_and_find_their_models",)
PER_TOKEN = (f"{SCORING}a_function_scores_tokens",)
UNFIT = (f"{SCORING}scores_of_tokens_that_do_not_fit_are_named",)

# fmt: off
WRONG_VERSIONS: dict[str, list[Entry]] = {
    "rlhf/models/learner.py": [
        ("return values[:, -num_last - 1 : -1]", "return values[:, -num_last:]",
         "the critic reads one place late", ROW_ALONE),
        ("    return logits[:, -num_last - 1 : -1]", "    return logits[:, -num_last:]", "logits one place late", SUM),
        ("hidden = seen[0][:, -num_last - 1 : -1]", "hidden = seen[0][:, -num_last:]", "trunk head reads the token that it is to value", HEAD),
        ("hidden = seen[0][:, -num_last - 1 : -1]", "hidden = seen[0][:, :num_last]", "trunk head reads from the wrong end",
         (f"{LEARNER}the_trunk_head_sees_the_same_without_logits_to_keep",)),
        ("hidden = seen[0][:, -num_last - 1 : -1]", "hidden = seen[0][:, -num_last - 1 : -1].detach()", "the value loss never reaches the trunk",
         ("tests/ppo/test_trunk.py::test_inv62_the_value_coefficient_pulls_at_a_shared_trunk",)),
        ("with torch.autocast(hidden.device.type, enabled=False):", "with nullcontext():", "value head not in float32", FLOAT32),
        ("self.value_head(hidden.float()).squeeze(-1)", "self.value_head(hidden.float()).squeeze(-1).to(hidden.dtype)", "values rounded to the trunk's type", FLOAT32),
        ("        nn.init.zeros_(self.value_head.weight)\n", "", "a new head values at random", (f"{LEARNER}inv67_a_new_head_on_the_trunk_values_everything_at_zero",)),
        ("[p for p in self.critic.parameters() if p.requires_grad]", "list(self.critic.parameters())", "frozen weights of the critic counted as trained",
         (f"{ONE_BASE}every_trained_parameter_gets_a_gradient_in_one_call",)),
        ("            if parameter.requires_grad and id(parameter) not in own", "            if id(parameter) not in own", "frozen weights of the policy counted as trained",
         (f"{ONE_BASE}every_trained_parameter_gets_a_gradient_in_one_call",)),
        ("else (self.policy, self.critic.model)", "else (self.policy,)", "checkpointing never reaches the critic",
         ("tests/ppo/test_update.py::test_inv71_gradients_are_equal_with_gradient_checkpointing",)),
    ],
    "rlhf/models/encoders.py": [
        ("second * attention_mask.long()", "torch.zeros_like(second)", "a response read as part of the prompt's text (BERT)", ENCODERS),
        ("(ends.cumsum(1) - ends).clamp(max=1)", "ends.cumsum(1).clamp(max=1)", "the separator counted to the response", ENCODERS),
        ("return not writes and ", "return ", "an encoder-decoder taken for an encoder", ("tests/test_encoders.py::test_which_models_are_encoders",)),
    ],
    "rlhf/models/one_base.py": [
        ("        model = share(self.model)\n        if self.adapter is None:\n            return model\n", "        model = share(self.model)\n        if True:\n            return model\n",
         "the reference is the base and not the SFT policy", REFERENCE),
        ("        check_goes_on(self.adapter, spec, self._setting)\n        return load_adapter(",
         "        return add_lora(model, spec, revision=self.revision)\n        return load_adapter(", "the policy starts from the base and not from SFT", REFERENCE),
        ("    return copy.deepcopy(model, same)", "    return copy.deepcopy(model)", "a copy of the base for each model", IN_MEMORY),
        ("    return copy.deepcopy(model, same)", "    return model", "one module for all: adapters meet",
         (f"{ONE_BASE}a_share_holds_the_same_tensors_and_takes_no_adapter_of_another",)),
        ("        if self.adapter is None:\n            return add_lora(trunk_of(model), spec)\n",
         "        if True:\n            return add_lora(trunk_of(model), spec)\n",
         "an encoder-decoder's critic starts from the base where SFT left an adapter",
         (f"{ONE_BASE}inv67_an_encoder_decoders_new_critic_starts_from_the_adapter_that_sft_left",)),
        ("        initialise_head(model)\n", "", "a new critic's head left at zero", (f"{ONE_BASE}inv67_a_new_critic_reads_the_policys_hidden_states",)),
        ("self._load(path, setting, trust_remote_code, trainable=False)", "self._load(path, setting, trust_remote_code, trainable=True)", "the judge is trained",
         (f"{ONE_BASE}inv39_inv67_a_critic_starts_as_the_judge_and_shares_no_trained_tensor_with_it",)),
        ("== (_place(base), revision)", "== (_place(adapter_base(path)), revision)", "adapters of another base are taken",
         (f"{ONE_BASE}only_adapters_on_this_very_base_are_held",)),
    ],
    "rlhf/scoring.py": [
        ("combined = combine_scores(stacked, self.how, self.std_coef)", "combined = -combine_scores(-stacked, self.how, self.std_coef)",
         "the ensemble's most generous member believed", ENSEMBLE),
        ("combined = combine_scores(stacked, self.how, self.std_coef)", "combined = stacked.mean(0)", "always the mean of the ensemble", ENSEMBLE),
        ("combine_scores(stacked, self.how, self.std_coef)", "combine_scores(stacked, self.how, 1.0)", "the ensemble's coefficient ignored", ENSEMBLE),
        ("stacked.std(0, correction=0)", "stacked.std(0)", "disagreement of a sample", ENSEMBLE),
        ("as_scores(member(prompts, generation, texts), generation) for member", "as_scores(self.members[0](prompts, generation, texts), generation) for member",
         "an ensemble of one model", ENSEMBLE),
        ("Scores(torch.zeros(shape[0]), kept, {})", "Scores(kept.sum(1), kept, {})", "scores of tokens counted twice", PER_TOKEN),
        ("scores[row, : len(found)] = torch", "scores[row, -len(found) :] = torch", "scores of tokens right-aligned", PER_TOKEN),
        ("or len(found) != len(pieces):", "or len(found) > len(pieces):", "tokens without a score get 0", UNFIT),
        ("        return [model for member in scorer.members for model in models_of(member)]", "        return []", "models of an ensemble never off-loaded", SUMS),
        ("given.responses + given.tokens.sum(1)\n", "weight * (given.responses + given.tokens.sum(1))\n", "sources shown weighted",
         (f"{SCORING}several_sources_are_added_with_their_weights",)),
    ],
}
# fmt: on
