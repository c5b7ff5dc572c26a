"""`Renderer`: a conversation or a response becomes token ids, and sampled ids become text again.

Use it through `rlhf.rendering`, which has the rest of station 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rlhf.encoding import ChatEncoder
from rlhf.errors import DataError
from rlhf.layouts import layout_of
from rlhf.rendered import WORDS, Messages, NoEmbedding, Rendered, TooLong, as_dicts

__all__ = ["NoEmbedding", "Rendered", "Renderer", "TooLong"]

_CHUNK = 1000  # conversations written and encoded in one call


class Renderer:
    """Turn conversations and responses into token ids, and sampled ids back into text.

    A tokenizer without a chat template is given a plain one, to be saved with it. `counts` says how often
    something was cut, dropped or adapted, by code; `report` says it in words.

    Args:
        tokenizer: a transformers tokenizer.
        max_prompt_tokens: longer prompts lose their oldest turns, then the beginning of the last one; None:
            what the context leaves beside a response, or no limit.
        max_response_tokens: longest response, end token included; longer ones are refused, never cut.
        context_tokens: the most positions the model has; None: no limit.
        extra_stop_token_ids: more ids that end a response (a generation config may list some).
        pairs: the tokenizer is an encoder's: prompt and response are two texts to it, see `rlhf.pairs`.
        decoder_start_token_id: of an encoder-decoder, which reads prompt and response apart, see
            `rlhf.seq2seq`.
        spells_specials: no end token comes of a text, also where the tokenizer knows it as a word (T5): for
            encoder-decoders, as reward models too, since the library's count their end tokens.
        num_embeddings: ids that the model can read; None: all.

    Attributes:
        end_token_id: what ends a rendered response: the template's end-of-turn token, else the eos token.
        stop_token_ids: every id that ends a sampled response, `end_token_id` first.
        pad_token_id: what to pad with; the end token where the tokenizer has no pad token.
        pairs: whether it renders two texts for an encoder.
        opening: ids that an encoder-decoder's decoder reads before a response; () where it stands behind its
            prompt.

    Raises:
        ModelError: the tokenizer has no end token, or its template no generation prompt.
        SettingsError: the limits do not fit into the context.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        max_prompt_tokens: int | None = None,
        max_response_tokens: int | None = None,
        context_tokens: int | None = None,
        extra_stop_token_ids: Sequence[int] = (),
        pairs: bool = False,
        decoder_start_token_id: int | None = None,
        spells_specials: bool = False,
        num_embeddings: int | None = None,
    ) -> None:
        layout = layout_of(tokenizer, pairs=pairs, decoder_start_token_id=decoder_start_token_id)
        facts = layout.facts
        self.tokenizer = tokenizer
        self.pairs = pairs
        self.context_tokens = context_tokens
        self.num_embeddings = num_embeddings
        self.max_response_tokens = max_response_tokens
        self.max_prompt_tokens = layout.most_prompt_tokens(
            max_prompt_tokens, max_response_tokens, context_tokens
        )
        self.opening = layout.opening
        self.end_token_id = facts.end_token_id
        stops = (facts.end_token_id, facts.eos_token_id, *extra_stop_token_ids)
        self.stop_token_ids: tuple[int, ...] = tuple(dict.fromkeys(stops))
        pad = tokenizer.pad_token_id
        self.pad_token_id: int = facts.end_token_id if pad is None else pad
        self.counts: Counter[str] = Counter()
        self._lead = facts.lead
        self._layout = layout
        self.spells_specials = spells_specials or bool(layout.opening)
        self._encoder = ChatEncoder(tokenizer, self.counts, layout.around, self.spells_specials, facts.form)

    def render_prompt(self, messages: Messages) -> list[int]:
        """Return the ids of a conversation with the generation prompt, ending where a response starts.

        Raises:
            DataError: the template refuses the roles, or even the shortened prompt is too long.
        """
        return _value(self.render_prompt_batch([messages])[0])

    def render_prompt_batch(
        self, conversations: Sequence[Messages], *, too_long: TooLong = "cut"
    ) -> list[list[int] | DataError]:
        """Return for each conversation its ids, or the error that `render_prompt` would raise.

        With `too_long` drop, a conversation above `max_prompt_tokens` is an error and is not shortened.
        """
        found: list[list[int] | DataError] = []
        for start in range(0, len(conversations), _CHUNK):
            chunk = [as_dicts(messages) for messages in conversations[start : start + _CHUNK]]
            self._encoder.count_line_breaks(["".join(one["content"] for one in talk) for talk in chunk])
            encoded: Sequence[list[int] | None] = self._encoder.encode_prompts(chunk) or [None] * len(chunk)
            found.extend(
                self._readable(
                    self._render_one(messages, too_long) if ids is None or self._too_long(ids) else ids
                )
                for messages, ids in zip(chunk, encoded, strict=True)
            )
        return found

    def _render_one(self, messages: list[dict[str, str]], too_long: TooLong) -> list[int] | DataError:
        try:
            messages = list(self._encoder.adapt(messages))
            ids = self._encoder.encode_prompt(messages)
            if self._too_long(ids):
                if too_long == "drop":
                    most = self.max_prompt_tokens
                    return DataError(f"a prompt has {len(ids)} tokens; max_prompt_tokens is {most}")
                assert self.max_prompt_tokens is not None
                ids = self._encoder.shortened(messages, ids, self.max_prompt_tokens)
        except DataError as error:
            return error
        self._encoder.count_special_text(messages)
        return ids

    def _too_long(self, ids: list[int]) -> bool:
        return self.max_prompt_tokens is not None and len(ids) > self.max_prompt_tokens

    def render_response(self, text: str) -> list[int]:
        """Return the ids of a response, the end token last.

        A special token's text inside a response is text, never the token.

        Raises:
            DataError: it is longer than `max_response_tokens`, or holds an end token all the same.
        """
        return _value(self.render_response_batch([text])[0])

    def render_response_batch(self, texts: Sequence[str]) -> list[list[int] | DataError]:
        """Return for each response its ids, or the error that `render_response` would raise."""
        found: list[list[int] | DataError] = []
        for start in range(0, len(texts), _CHUNK):
            led = [self._lead + text for text in texts[start : start + _CHUNK]]
            self._encoder.count_line_breaks(led)
            encoded = self._encoder.encode(led, literal=True)
            found.extend(self._readable(self._ended(ids)) for ids in encoded)
        return found

    def _readable(self, ids: list[int] | DataError) -> list[int] | DataError:
        """Refuse ids behind the last embedding: tokens of other models that share the tokenizer."""
        if self.num_embeddings is None or isinstance(ids, DataError):
            return ids
        highest = max(ids, default=0)
        if highest < self.num_embeddings:
            return ids
        token = self.tokenizer.convert_ids_to_tokens(highest)
        return NoEmbedding(
            f"holds the token {token!r} (id {highest:,}), but the model has embeddings for "
            f"{self.num_embeddings:,} tokens; give the model its own tokenizer and chat template"
        )

    def _ended(self, ids: list[int]) -> list[int] | DataError:
        # No encoder stops at a separator, and to sentencepiece (DeBERTa) the text "[SEP]" is always one.
        if not self.pairs and any(stop in ids for stop in self.stop_token_ids):
            return DataError("a response holds the end token, after which nothing would count")
        ids = [*ids, self.end_token_id]
        if self.max_response_tokens is not None and len(ids) > self.max_response_tokens:
            most = self.max_response_tokens
            return DataError(f"a response has {len(ids)} tokens; max_response_tokens is {most}")
        return ids

    def render_sampled(self, text: str, *, ended: bool) -> list[int]:
        """Return the ids of a response that another model wrote, for one that is to score it.

        A response that was cut at a length limit gets no end token here either. For an encoder there is no
        difference: what stands behind the second text belongs to the pair, and a cut response is to it a text
        that stops in the middle, which it can tell from the words alone.

        Raises:
            DataError: as `render_response`.
        """
        ids = self.render_response(text)
        return ids if ended or self.pairs else ids[:-1]

    def render_scored(self, messages: Messages, text: str, *, ended: bool) -> list[int]:
        """Return prompt and response, which another model wrote, as ids that fit into the context.

        Where both together are too long the prompt loses its oldest part, as everywhere; where that is not
        enough, the response its end. Both are counted.

        Raises:
            DataError: as `render_prompt`, which a caller can try beforehand, and `render_response`.
        """
        prompt, response = self.render_prompt(messages), self.render_sampled(text, ended=ended)
        if self.fits(Rendered(prompt, response)):
            return prompt + response
        assert self.context_tokens is not None
        room = self.context_tokens - len(response)
        try:
            if room > 0:
                return self._encoder.shortened(as_dicts(messages), prompt, room) + response
        except DataError:  # there is more in it than can be cut
            pass
        self.counts["cut_responses"] += 1
        room = max(self.context_tokens - len(prompt), 0)
        kept = response[: max(room - 1, 0)] + response[-1:] if self.pairs else response[:room]
        return (prompt + kept)[: self.context_tokens]

    def render_demonstration(self, messages: Messages, response: str) -> Rendered:
        """Return prompt and response as ids, joined by the one rule.

        Raises:
            DataError: as `render_prompt` and `render_response`, or both together do not fit into the context.
        """
        rendered = Rendered(self.render_prompt(messages), self.render_response(response))
        if not self.fits(rendered):
            length = self._num_read(rendered)
            raise DataError(f"prompt and response have {length} tokens; the context is {self.context_tokens}")
        return rendered

    def fits(self, rendered: Rendered) -> bool:
        """Return whether a sequence fits into the model's context."""
        return self.context_tokens is None or self._num_read(rendered) <= self.context_tokens

    def _num_read(self, rendered: Rendered) -> int:
        return self._layout.num_read(len(rendered.prompt_ids), len(rendered.response_ids))

    def decode_response(self, ids: Sequence[int]) -> str:
        """Return the text of sampled ids up to the first stop token, without special tokens.

        The space that the template puts before an answer is taken off, so that it is what was rendered.
        """
        ids = list(ids)
        end = next((place for place, index in enumerate(ids) if index in self.stop_token_ids), len(ids))
        return self._encoder.decode(ids[:end], skip_special_tokens=True).removeprefix(self._lead)

    def decode_prompt(self, ids: Sequence[int]) -> str:
        """Return the text of prompt ids, special tokens and all."""
        return self._encoder.decode(ids)

    def show(self, rendered: Rendered) -> str:
        """Return a sequence as people can check it: all tokens, the trained ones between ⟦ and ⟧."""
        return f"{self._encoder.decode(rendered.prompt_ids)}⟦{self._encoder.decode(rendered.response_ids)}⟧"

    def report(self) -> list[str]:
        """Return a line for each code in `counts`."""
        return [f"{WORDS.get(code, code)}: {number:,}" for code, number in self.counts.most_common()]


def _value(result: list[int] | DataError) -> list[int]:
    if isinstance(result, DataError):
        raise result
    return result
