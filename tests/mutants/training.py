"""Wrong versions of SFT and of what trainers share; the form is that of tests/maths/wrong_versions.py."""

from __future__ import annotations

from tests.maths.wrong_versions import Entry

EFFECTS = ("tests/training/test_effects.py",)
SEQ2SEQ = ("tests/test_sft_seq2seq.py",)
RESUMED = "tests/ranking/test_training.py::test_inv73_resumed_run_ends_with_the_same_weights"

# fmt: off
WRONG_VERSIONS: dict[str, list[Entry]] = {
    "rlhf/sft.py": [
        ("/ num_items_in_batch * self.accelerator.num_processes", "/ counts.sum()", "T5: mean of micro-batch means", SEQ2SEQ),
        ("\"decoder_input_ids\": [[*opening, *one.response_ids] for", "\"decoder_input_ids\": [[*opening[:1], *opening[:1], *one.response_ids] for",
         "BART: trained behind another opening than is sampled from", SEQ2SEQ),
        ("\"input_ids\": [list(one.prompt_ids) for", "\"input_ids\": [list(one.ids) for", "the encoder reads the response", SEQ2SEQ),
        ("given = build_generation(prompts, responses, (), pad_token_id, device, opening)", "given = build_generation(prompts, [one[:-1] or one for one in responses], (), pad_token_id, device, opening)",
         "an encoder-decoder's end token not measured", SEQ2SEQ),
        ("[IGNORED] * len(one.prompt_ids) + list(one.response_ids) for", "list(one.ids) for",
         "labels include the prompt"),
        ("[IGNORED] * len(one.prompt_ids) + list(one.response_ids) for",
         "[IGNORED] * len(one.prompt_ids) + list(one.response_ids[:-1]) + [IGNORED] for",
         "end token not trained: answers never end"),
        ("[IGNORED] * len(one.prompt_ids) + list(one.response_ids) for",
         "[IGNORED] * (len(one.prompt_ids) + 1) + list(one.response_ids[1:]) for",
         "labels shifted twice: the first token not trained"),
        ("return_outputs, num_items_in_batch\n        )\n\n\ndef build", "return_outputs, None\n        )\n\n\ndef build",
         "mean of micro-batch means (transformers before 4.46)"),
        ("counts = ids.to(device), mask.to(device), is_response[:, 1:].bool().to(device)",
         "counts = ids.to(device), mask.to(device), is_response[:, :-1].bool().to(device)",
         "mask not shifted with the labels"),
        ("counts = ids.to(device), mask.to(device), is_response[:, 1:].bool().to(device)",
         "counts = ids.to(device), mask.to(device), mask[:, 1:].to(device)", "perplexity of the prompt counted"),
        ("counts = ids.to(device), mask.to(device), is_response[:, 1:].bool().to(device)",
         "counts = ids.to(device), mask.to(device), (is_response[:, 1:].bool() & (ids[:, 1:] != pad_token_id)).to(device)",
         "mask from the pad id: pad == eos leaves the end out"),
        ("total -= float(torch.where(counts, logprobs, 0.0).double().sum())\n        num_tokens += int(counts.sum())",
         "total -= float(torch.where(counts, logprobs, 0.0).double().sum()) / int(counts.sum())\n        num_tokens += 1",
         "mean of batch means"),
        ("    model.eval()\n", "", "measured with dropout on"),
        ("model.train(was_training)", "pass", "left in evaluation mode by a measurement"),
    ],
    "rlhf/training/plan.py": [
        ("return (step + 1) / warmup_steps", "return step / warmup_steps", "the first step has rate 0"),
        ("final_fraction + (1.0 - final_fraction) * shape", "max(final_fraction, shape)",
         "floor instead of a last value"),
        ("own_batch = plan.batch_size // num_processes", "own_batch = plan.batch_size",
         "batch size counted a process"),
        ("own_batch // microbatch_size", "1", "gradient accumulation forgotten"),
        ("if num_elements < plan.batch_size:", "if False:", "a small dataset gives no batch at all"),
        ("step - warmup_steps) / max(1, num_steps - warmup_steps)", "step - warmup_steps) / num_steps",
         "never falls to its last value"),
        ("\"bf16\": plan.mixed_precision == \"bf16\"", "\"bf16\": False", "bf16 ignored (TRL 1.12)", EFFECTS),
        ("_checkpointing_name(): plan.gradient_checkpointing", "_checkpointing_name(): False",
         "gradient checkpointing ignored (TRL 1.12)",
         EFFECTS),
        ("\"max_grad_norm\": plan.max_grad_norm", "\"max_grad_norm\": None", "gradients never clipped (TRL 1.12)",
         EFFECTS),
        ("\"weight_decay\": plan.weight_decay", "\"weight_decay\": 0.0", "weight decay ignored", EFFECTS),
        ("\"data_seed\": plan.seed,", "\"data_seed\": plan.seed,\n        \"label_smoothing_factor\": 0.1,",
         "a loss that nobody asked for", ("tests/test_sft.py",)),
        ("num_steps=num_steps,", "num_steps=num_steps * 2,",
         "the schedule of two processes for one (steps counted twice)", EFFECTS),
    ],
    "rlhf/training/order.py": [
        ("random.Random(f\"{self.seed}/{self.epoch}\")", "random.Random(self.seed)", "every epoch in the same order"),
        ("random.Random(f\"{self.seed}/{self.epoch}\")", "random", "order from the global state: another on each rank"),
        ("for i in batch] + ragged)", "for i in batch])", "rows of the last ragged batch lost"),
        ("        generator.shuffle(batches)\n", "", "batches in order of length"),
        ("        generator.shuffle(order)\n", "", "the same elements always share a pool"),
    ],
    "rlhf/training/loop.py": [
        ("self.sampler.set_epoch(int((state.epoch or 0.0) + 1e-6))", "self.sampler.set_epoch(0)",
         "a resumed run sees the data of the first epoch again", ("tests/training/test_plan.py",)),
        ("if torch.isfinite(loss).all():", "if True:", "nan trained on", ("tests/training/test_plan.py",)),
        ("        check_finite(loss, trainer.state, self.section, trainer._get_learning_rate())\n", "",
         "nan trained on: the check is not made", EFFECTS),
        ("def create_scheduler(self", "def create_schedule(self", "the library's schedule instead of the plan's", EFFECTS),
        ("resume_from_checkpoint=str(self.run.resume_from) if self.run.resume_from else None",
         "resume_from_checkpoint=None", "a resumed run starts anew", (RESUMED,)),
        ("def _get_train_sampler(self", "def _get_sampler(self", "the library's order instead of the seed's",
         ("tests/ranking/test_training.py::test_inv16_batches_come_in_the_order_of_the_seed_with_the_ties_as_asked_for",)),
        ("self.run.metrics.cut(lambda row: row.get(\"step\", 0) <= begun)", "pass",
         "metrics of a killed run stand twice", (RESUMED,)),
    ],
}
# fmt: on
