"""Wrong versions of text to ids and back; the form is that of tests/maths/wrong_versions.py."""

from __future__ import annotations

from tests.maths.wrong_versions import Entry

LIMITS = ("tests/test_rendering_limits.py",)
LARGE = ("tests/test_rendering_large.py",)

STREAM = (
    "tests/ppo/test_ptx_rows.py::test_texts_become_rows_of_one_stream_with_an_end_token_after_each_document",
)
SEQ2SEQ = ("tests/test_rendering_seq2seq.py",)

# fmt: off
WRONG_VERSIONS: dict[str, list[Entry]] = {
    "rlhf/rendering.py": [
        ("[ranking.strengths[n] for n in left]", "list(ranking.strengths)[: len(left)]",
         "strengths slip to other pairs where a response is dropped", ("tests/ranking/test_strengths.py",)),
        ("torch.arange(width) < lengths[:, None]", "ids != pad_id",
         "mask from the pad id: pad == eos loses its end token"),
        ("return ids.flip(1), mask.flip(1)", "return pad_right(sequences, pad_id)",
         "prompts padded on the right for sampling"),
        ("(new_place[i], new_place[j], p) for", "(i, j, p) for",
         "pairs point at responses that were dropped", LIMITS),
        ("[ranking.ranks[place] for place in kept]", "list(ranking.ranks[: len(kept)])",
         "ranks of responses that were dropped", LIMITS),
        ("if not isinstance(ids, DataError) and renderer.fits(Rendered(prompt_ids, ids))",
         "if not isinstance(ids, DataError)", "a compared response beyond the context", LIMITS),
        ("if renderer.fits(whole):", "if whole:",
         "a demonstration beyond the context", LIMITS),
        ("                found = [next(responses) for _ in ranking.responses]\n"
         "                if isinstance(prompt_ids, DataError):\n"
         "                    continue\n",
         "                if isinstance(prompt_ids, DataError):\n"
         "                    continue\n"
         "                found = [next(responses) for _ in ranking.responses]\n",
         "responses of a dropped prompt go to the next one", LIMITS),
        ("yield RenderedPrompt(prompt, ids)", "yield RenderedPrompt(some[0], ids)",
         "a prompt with the columns of another one", LIMITS),
        ("        counts = self.renderer.counts.copy()\n", "        counts = self.renderer.counts\n",
         "a conversation that comes again in a later portion loses all counts", LARGE),
        ("num_refused = sum(isinstance(one, DataError) for one in found)", "num_refused = 0",
         "refused prompts dropped without a word", LIMITS),
    ],
    "rlhf/rendered.py": [
        ("[False] * len(self.prompt_ids) + [True] * len(self.response_ids)",
         "[True] * len(self.prompt_ids) + [True] * len(self.response_ids)", "prompt trained like the response"),
        ("[True] * len(self.response_ids)", "[True] * (len(self.response_ids) - 1) + [False]",
         "end token never trained"),
    ],
    "rlhf/renderer.py": [
        ("stops = (facts.end_token_id, facts.eos_token_id, *extra_stop_token_ids)",
         "stops = (facts.eos_token_id, *extra_stop_token_ids)",
         "stops at the tokenizer's eos only, not at the turn's end (trl#5338)"),
        ("stops = (facts.end_token_id, facts.eos_token_id, *extra_stop_token_ids)",
         "stops = (facts.end_token_id, *extra_stop_token_ids)", "the tokenizer's own eos does not stop"),
        ("stops = (facts.end_token_id, facts.eos_token_id, *extra_stop_token_ids)",
         "stops = (facts.end_token_id, facts.eos_token_id)", "stop tokens of the generation config forgotten"),
        ("self.end_token_id = facts.end_token_id", "self.end_token_id = facts.eos_token_id",
         "responses end with eos where the template ends a turn otherwise"),
        ("facts.end_token_id if pad is None else pad", "0 if pad is None else pad",
         "no pad token: pads with whatever id 0 is"),
        ("ids = self._encoder.shortened(messages, ids, self.max_prompt_tokens)", "ids = ids[: self.max_prompt_tokens]",
         "truncation on the right: the generation prompt is lost", LIMITS),
        ("ids = self._encoder.shortened(messages, ids, self.max_prompt_tokens)", "ids = ids[-self.max_prompt_tokens :]",
         "truncation on the left: bos and the first turn's marker are lost", LIMITS),
        ("if not self.pairs and any(stop in ids for stop in self.stop_token_ids):", "if False:",
         "a response with an end token in its middle", LIMITS),
        ("if self.max_response_tokens is not None and len(ids) > self.max_response_tokens:\n",
         "if self.max_response_tokens is not None and len(ids) > self.max_response_tokens:\n"
         "            return ids[: self.max_response_tokens]\n", "long responses cut: their end is never trained", LIMITS),
        ("ids = [*ids, self.end_token_id]", "pass", "no end token in demonstrations and rankings"),
        ("ids = [*ids, self.end_token_id]", "ids = [*ids, self.end_token_id, self.end_token_id]",
         "two end tokens"),
        ("led = [self._lead + text for", "led = [text for", "no space before an answer: other first tokens"),
        ("skip_special_tokens=True).removeprefix(self._lead)", "skip_special_tokens=True)",
         "decoded answers begin with the template's space"),
        ("skip_special_tokens=True).removeprefix(self._lead)", "skip_special_tokens=True).strip()",
         "decoded answers lose their own white space"),
        ("self._encoder.decode(ids[:end], skip", "self._encoder.decode(ids, skip",
         "text after the end goes to the judge"),
        ("if index in self.stop_token_ids), len(ids))", "if index == self.end_token_id), len(ids))",
         "text is cut at one of the stop tokens only"),
        ("self._num_read(rendered) <= self.context_tokens", "len(rendered.prompt_ids) <= self.context_tokens",
         "context checked for the prompt alone", LIMITS),
    ],
    "rlhf/layouts.py": [
        ("else context - shortest", "else context", "prompts fill the context, no room for a response", LIMITS),
        ("return max(num_prompt_tokens, len(self.opening) + num_response_tokens)", "return max(num_prompt_tokens, num_response_tokens)",
         "a response longer than what the opening leaves", SEQ2SEQ),
    ],
    "rlhf/seq2seq.py": [
        ("lead=\"\")", "lead=inspect_template(tokenizer).lead)", "a response that begins with the space of a continued text", SEQ2SEQ),
        ("supply_chat_template(tokenizer, special_tokens=False)", "supply_chat_template(tokenizer)", "two opening tokens around a prompt (BART)", SEQ2SEQ),
        ("start if before == start else start + before", "start", "BART's decoder opened without <s>", SEQ2SEQ),
        ("tuple(whole[place + len(part) :])", "()", "T5's encoder input without its </s>", SEQ2SEQ),
    ],
    "rlhf/encoding.py": [
        ("turns = turns[next(later) :]", "turns = turns[: next(later)]", "newest turns dropped", LIMITS),
        ("content = content[len(ids) - most :]",
         "content = content[: most - len(ids)]", "a long question loses its end", LIMITS),
        ("system = messages[:1] if messages[0][\"role\"] == \"system\" else []", "system = messages[:0]",
         "system message dropped with the oldest turns", LIMITS),
        ("self._spell(text) if self._special_text.search(text)", "ids if self._special_text.search(text)", "the text </s> ends T5's prompt", SEQ2SEQ),
        ("        del left[:whole]\n", "        left = left[:0]\n", "the end of each document is lost where a stream is cut", STREAM),
        ("encode_batch_fast(some, add_special_tokens=False)", "encode_batch_fast(some, add_special_tokens=True)",
         "double BOS"),
        ("backend.encode_special_tokens = literal", "backend.encode_special_tokens = False",
         "special tokens written in a text become special tokens", LARGE),
        ("        backend.no_truncation()\n", "        pass\n", "cut as an earlier call was", LARGE),
        ("if _is_plain(tokenizer):", "if True:", "a tokenizer's own ways are passed over", LARGE),
        ("if self._has_special_text(messages):\n            return self._put_around(self._encode_literally(messages))", "if False:\n            pass",
         "a user's message can end its own turn"),
        ("clean_up_tokenization_spaces=False", "clean_up_tokenization_spaces=True",
         "decoding tidies spaces before punctuation"),
        ("conversations, generation_prompt=True, parts=self._form.parts",
         "conversations, generation_prompt=False, parts=self._form.parts",
         "no generation prompt"),
        ("if joined and joined[-1][\"role\"] in (\"system\", message[\"role\"]):",
         "if joined and joined[-1][\"role\"] == message[\"role\"]:", "system message lost or refused"),
    ],
    "rlhf/pairs.py": [
        ("[\"input_ids\"] for text in (_FIRST, _SECOND))", "[\"input_ids\"] for text in (_SECOND, _FIRST))", "the texts the other way round"),
        ("return PairFacts(tuple(whole[:start]), ", "return PairFacts((), ", "an encoder's first token, at which it pools, left out"),
    ],
    "rlhf/templates.py": [
        ("end_token_id=tokenizer.eos_token_id if end is None else end", "end_token_id=tokenizer.eos_token_id",
         "eos taken for the end of a turn (Qwen: <|endoftext|>)"),
        ("begins = bos is not None and tokenizer(\"a\")[\"input_ids\"][:1] == [bos]", "begins = False",
         "no BOS where the base model has always seen one"),
        ("begins = bos is not None and tokenizer(\"a\")[\"input_ids\"][:1] == [bos]", "begins = bos is not None",
         "a BOS where the base model has never seen one"),
        ("return \"\" if _decode(tokenizer, joined) == whole else before.removeprefix(prompt)",
         "return before.removeprefix(prompt)", "two spaces before an answer (Llama)"),
        ("return \"\" if _decode(tokenizer, joined) == whole else before.removeprefix(prompt)", "return \"\"",
         "no space before an answer (GPT-2)"),
        ("if tail and tail[-1] in (facts.end_token_id, facts.eos_token_id):", "if False:",
         "a template without generation prompt: prompts end with an end token"),
        ("        tail.pop()  # the line", "        break  # the line",
         "a template without generation prompt is not seen behind a line's end (ChatML)"),
        ("elif _first_special(tokenizer, facts.lead) is not None:", "elif False:",
         "the marker that opens an answer learnt as letters"),
        ("        if text not in written[text]:", "        if False:", "a template that loses the question or the answer"),
        ("drops_system=system is False", "drops_system=False", "a system message that the template drops is lost"),
        ("drops_turns=again is False", "drops_turns=False", "earlier turns that the template drops are lost"),
        ("{**message, \"content\": [{\"type\": \"text\", \"text\": message[\"content\"]}]}", "message",
         "a template that reads parts is given text, and writes none"),
        ("{{ 'Assistant: ' + message['content'] + eos_token + '\\\\n\\\\n' }}",
         "{{ 'Assistant: ' + message['content'] + '\\\\n\\\\n' }}", "earlier turns without their end token"),
    ],
}
# fmt: on
