"""Wrong versions of how base models are made; the form is that of tests/maths/wrong_versions.py."""

from __future__ import annotations

from tests.maths.wrong_versions import Entry

# fmt: off
WRONG_VERSIONS: dict[str, list[Entry]] = {
    "rlhf/pretraining/documents.py": [
        ("generator.randrange(1, length)", "generator.randrange(0, length)",
         "an empty beginning: the encoder has nothing to look at"),
        ("generator.randrange(1, length)", "length // 2", "always split in the middle"),
        ("generator.randrange(1, length)", "min(generator.randrange(1, length), length // 2)",
         "rests longer than beginnings"),
        ("random.Random(f\"{seed}/{epoch}/{index}\")", "random.Random(f\"{seed}/{index}\")",
         "every epoch splits at the same places"),
        ("random.Random(f\"{seed}/{epoch}/{index}\")", "random.Random(f\"{seed}/{epoch}\")",
         "every document is split at the same place"),
        ("random.Random(f\"{seed}/{epoch}/{index}\")", "random", "places from the global generator: no resume"),
        ("            self.num_dropped_tokens += len(ids)\n", "", "dropped tokens not counted"),
        ("        whole = [*ids, *end]\n", "        whole = ids\n", "documents without their end: T5 never stops"),
        ("        for start in range(0, len(whole), longest):\n", "        for start in range(0, 1):\n",
         "long documents cut off"),
    ],
    "rlhf/pretraining/text_to_text.py": [
        ("[pad_token_id, *one[\"response\"][:-1]]", "one[\"response\"]", "the decoder reads what it is to say"),
        ("[pad_token_id, *one[\"response\"][:-1]]", "[1, *one[\"response\"][:-1]]",
         "the decoder starts with the end token"),
        ("pad_right([one[\"response\"] for one in examples], IGNORED)",
         "pad_right([one[\"response\"] for one in examples], pad_token_id)", "padding is trained"),
        ("\"attention_mask\": mask.long()", "\"attention_mask\": torch.ones_like(ids)",
         "the encoder's padding is looked at"),
        ("ids[:place], \"response\": ids[place:]", "ids[:place], \"response\": ids[place - 1 :]",
         "the last token read is written again"),
        ("draw(self._seed, self.epoch, index)", "draw(self._seed, 0, index)", "epoch forgotten"),
        ("return similar, place if similar % 2 else -place", "return similar, 0", "sorted by whole length only: padding"),
    ],
    "rlhf/pretraining/masked.py": [
        ("mlm_probability=masked_fraction", "mlm_probability=0.15", "the share of gaps ignored"),
        ("special_tokens_mask=torch.tensor([special])", "special_tokens_mask=torch.zeros(1, len(special))",
         "special tokens are hidden and asked for"),
        ("[0] * (len(first) + 2) + [1] * (len(second) + 1)", "[0] * (len(first) + 1) + [1] * (len(second) + 2)",
         "the separator counted to the second text"),
        ("        self._masker.generator = torch.Generator().manual_seed(generator.getrandbits(63))\n", "",
         "gaps from the global generator: no resume"),
        ("context_tokens - 3", "context_tokens", "longer than the model reads"),
        ("pad_right([one[\"labels\"] for one in examples], IGNORED)",
         "pad_right([one[\"labels\"] for one in examples], 0)", "padding is asked for"),
        ("\"attention_mask\": mask.long(), \"token_type_ids\"", "\"attention_mask\": torch.ones_like(ids), \"token_type_ids\"",
         "padding is looked at"),
    ],
    "rlhf/pretraining/training.py": [
        (" / num_items_in_batch.clamp(min=1)", " / (labels != -100).sum()",
         "mean of micro-batch means (the library's own BERT and T5)"),
        ("        self.examples.epoch = self.trainer.sampler.epoch\n", "        pass\n", "epoch forgotten"),
        ("    epoch, examples.epoch = examples.epoch, 0\n", "    epoch = examples.epoch\n",
         "measured on other gaps in each epoch"),
        ("    examples.epoch = epoch\n", "", "a measurement sets training back to epoch 0"),
        ("num_labels += int((labels != -100).sum())", "num_labels += labels.numel()", "padding counted"),
        ("    model.train(was_training)\n    return total / max(num_labels, 1)", "    return total / max(num_labels, 1)",
         "left in evaluation mode by a measurement"),
    ],
    "rlhf/pretraining/tokenizers.py": [
        ("first = [*WORDPIECE_SPECIAL_TOKENS, *letters, *(CONTINUES + letter for letter in letters)]",
         "first = list(WORDPIECE_SPECIAL_TOKENS)", "another vocabulary in each process"),
        ("set(map(chr, range(0x21, 0x7F)))", "set()", "letters that the texts lack make words unknown"),
        ("vocab=tokenizer.get_vocab(), do_lower_case=False", "vocab=tokenizer.get_vocab(), do_lower_case=True",
         "capital letters lost"),
    ],
    "rlhf/pretraining/models.py": [
        ("relative_attention_max_distance=context_tokens", "relative_attention_max_distance=128", "context ignored"),
        ("dropout_rate=0.0", "dropout_rate=0.1", "dropout left on"),
        ("hidden_dropout_prob=0.0", "hidden_dropout_prob=0.1", "dropout of an encoder left on"),
        ("num_decoder_layers=layers", "num_decoder_layers=1", "a decoder of one layer"),
        ("model.lm_head.weight = torch.nn.Parameter(", "torch.nn.Parameter(", "the embedding is the output layer"),
        (" / math.sqrt(width))", ")", "an output layer that starts large"),
        ('"tie_word_embeddings": False', '"tie_word_embeddings": True', "outputs scaled as for an embedding"),
    ],
    "rlhf/pretraining/samples.py": [
        ("guesses[row != IGNORED]", "guesses[row == IGNORED]", "other tokens shown than those asked for"),
    ],
    "rlhf/pairs.py": [
        ("after = _place(whole, second, start + len(first))", "after = _place(whole, second, len(first))",
         "unknown words of the first text taken for the second", ("tests/test_pairs.py",)),
    ],
}
