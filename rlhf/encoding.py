"""`ChatEncoder`: conversations and texts to token ids by a tokenizer and its template, without any limits.

`encode_stream` and `encode_each` do the same for raw text. The rest of the library goes through
`rlhf.rendering`.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from rlhf.errors import DataError
from rlhf.templates import Conversation, TemplateForm, special_ids, write_conversations

__all__ = ["ChatEncoder", "encode_each", "encode_stream"]

_DOCUMENTS_AT_ONCE = 2000  # encodings are large
_TEXTS_AT_ONCE = 500
_OWN_WAYS = ("__call__", "_encode_plus", "_batch_encode_plus", "_switch_to_input_mode")


class ChatEncoder:
    """Encode with one tokenizer; never adds a token that neither template nor text asks for.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        counts: where conversations are counted that had to be adapted (joined_turns, special_text).
        around: ids before and behind each conversation, where an encoder reads it as the first of two texts.
        spells_specials: where the tokenizer cannot read a special token's text as text, spell it.
        form: how the template is given conversations; None: as they are.
    """

    def __init__(
        self,
        tokenizer: Any,
        counts: Counter[str],
        around: tuple[Sequence[int], Sequence[int]] = ((), ()),
        spells_specials: bool = False,
        form: TemplateForm | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self._form = form or TemplateForm()
        self.counts = counts
        self._around = around
        self._spells_specials = spells_specials
        self._loses_line_breaks = "\n" not in self.decode(_encode(tokenizer, ["a\nb"], literal=True)[0])
        self._specials = special_ids(tokenizer) - {tokenizer.unk_token_id}
        names = tokenizer.convert_ids_to_tokens(sorted(special_ids(tokenizer)))
        longest_first = sorted(names, key=len, reverse=True)
        self._special_text = re.compile("|".join(re.escape(name) for name in longest_first))

    def encode(self, texts: Sequence[str], *, literal: bool = False) -> list[list[int]]:
        """Return the ids of each text; `literal` reads special tokens' text as text."""
        found = _encode(self.tokenizer, texts, literal=literal)
        if not (literal and self._spells_specials):
            return found
        return [
            self._spell(text) if self._special_text.search(text) and self._specials & {*ids} else ids
            for text, ids in zip(texts, found, strict=True)
        ]

    def _spell(self, text: str) -> list[int]:
        """Encode a text whose special tokens' text the tokenizer takes for the tokens all the same.

        To one made from sentencepiece's files (T5, DeBERTa) that text is a word of the vocabulary like any
        other: its first letter is encoded apart from the rest. A space may come of that, and a letter without
        a piece of its own is unknown, as it is everywhere.
        """
        pieces = []
        for piece in re.split(f"({self._special_text.pattern})", text):
            pieces += [piece[:1], piece[1:]] if self._special_text.fullmatch(piece) else [piece]
        encoded = _encode(self.tokenizer, [piece for piece in pieces if piece], literal=True)
        return [index for ids in encoded for index in ids]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Return the text of ids as it is, without tidying of spaces."""
        text: str = self.tokenizer.decode(
            list(ids), skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False
        )
        return text

    def encode_prompts(self, conversations: Sequence[Conversation]) -> list[list[int]] | None:
        """Return the ids of plain conversations in one go, or None if any needs to be looked at by itself.

        That is one with the text of a special token in it, or with roles that the template refuses.
        """
        if any(self._has_special_text(messages) for messages in conversations):
            return None
        try:
            texts = self._write(conversations)
        except DataError:
            return None
        return [self._put_around(ids) for ids in self.encode(texts)]

    def encode_prompt(self, messages: Conversation) -> list[int]:
        """Return the ids of one conversation with the generation prompt.

        Raises:
            DataError: the template refuses its roles.
        """
        if self._has_special_text(messages):
            return self._put_around(self._encode_literally(messages))
        texts = self._write([messages])
        return self._put_around(self.encode(texts)[0])

    def _write(self, conversations: Sequence[Conversation]) -> list[str]:
        for messages in conversations:
            self._form.check(messages)
        return write_conversations(
            self.tokenizer, conversations, generation_prompt=True, parts=self._form.parts
        )

    def _put_around(self, ids: list[int]) -> list[int]:
        before, behind = self._around
        return [*before, *ids, *behind]

    def adapt(self, messages: Conversation) -> Conversation:
        """Return the conversation in a form that the template takes.

        That is itself; or, where the template refuses it or would lose its system message, with that joined
        to the first turn and the turns of one speaker in a row joined (counted as joined_turns).

        Raises:
            DataError: the template refuses that too.
        """
        try:
            self.encode_prompt(messages)
        except DataError:
            joined = _join_speakers(messages)
            if joined == list(messages):
                raise
            self.encode_prompt(joined)
            self.counts["joined_turns"] += 1
            return joined
        return messages

    def _has_special_text(self, messages: Conversation) -> bool:
        return any(self._special_text.search(message["content"]) for message in messages)

    def _encode_literally(self, messages: Conversation) -> list[int]:
        """Encode a conversation that holds a special token's text: there it is text, not the token.

        While the template writes, a letter of Unicode's private use area stands for each such text.
        """
        used = {letter for message in messages for letter in message["content"]}
        place = next(chr(code) for code in range(0xE000, 0xF900) if chr(code) not in used)
        texts = [text for message in messages for text in self._special_text.findall(message["content"])]
        held = [
            {"role": message["role"], "content": self._special_text.sub(place, message["content"])}
            for message in messages
        ]
        pieces = self._write([held])[0].split(place)
        if len(pieces) != len(texts) + 1:  # the template left a message out, or wrote one twice
            raise DataError(
                "a message holds the text of a special token, and the chat template moves it about"
            )
        ids = self.encode(pieces[:1])[0]
        for text, piece in zip(texts, pieces[1:], strict=True):
            ids = ids + self.encode([text], literal=True)[0] + self.encode([piece])[0]
        return ids

    def count_line_breaks(self, texts: Sequence[str]) -> None:
        """Count texts with line breaks, where the tokenizer reads these as spaces (T5's has none)."""
        if self._loses_line_breaks:
            self.counts["lost_line_breaks"] += sum("\n" in text for text in texts)

    def shortened(self, messages: list[dict[str, str]], ids: list[int], most: int) -> list[int]:
        """Drop the oldest turns, then the beginning of the last; system message and template stay whole.

        Args:
            messages: the conversation.
            ids: its ids, more than `most`.
            most: the most ids that are to be left.

        Raises:
            DataError: no cut makes it that short.
        """
        system = messages[:1] if messages[0]["role"] == "system" else []
        turns = messages[len(system) :]
        while len(ids) > most and len(turns) > 1:
            later = (place for place in range(1, len(turns)) if turns[place]["role"] == "user")
            turns = turns[next(later) :]
            ids = self.encode_prompt([*system, *turns])
        if len(ids) <= most:
            self.counts["cut_to_last_turns"] += 1
            return ids
        last = turns[-1]
        content = self.encode([last["content"]], literal=True)[0]
        while len(ids) > most and content:
            content = content[len(ids) - most :]
            text = self.decode(content).lstrip("\ufffd")  # half of a letter that the cut went through
            ids = self.encode_prompt([*system, {"role": "user", "content": text}])
        if len(ids) > most:
            raise DataError(
                f"a prompt needs {len(ids)} tokens even without its user's text (system, template); "
                f"max_prompt_tokens is {most}"
            )
        self.counts["cut_within_turn"] += 1
        return ids

    def count_special_text(self, messages: Conversation) -> None:
        """Count a rendered conversation that holds a special token's text."""
        if self._has_special_text(messages):
            self.counts["special_text"] += 1


def encode_stream(texts: Iterable[str], tokenizer: Any, length: int) -> Iterator[array[int]]:
    """Give the ids of documents as one stream, an end (eos) token after each, in pieces of `length`.

    The last piece may be shorter. Markers such as "<|user|>" inside a text are read as text, never as special
    tokens. A tokenizer that opens every text with its bos token opens every document with it.
    """
    opening = [index for index in tokenizer("")["input_ids"] if index == tokenizer.bos_token_id]
    left = array("i")
    for ids in encode_each(texts, tokenizer):
        left.extend([*opening, *ids, tokenizer.eos_token_id])
        whole = len(left) - len(left) % length
        yield from (left[start : start + length] for start in range(0, whole, length))
        del left[:whole]
    if left:
        yield left


def encode_each(texts: Iterable[str], tokenizer: Any) -> Iterator[list[int]]:
    """Give the ids of one document after another, without any special token; markers are read as text."""
    iterator = iter(texts)
    while some := list(islice(iterator, _DOCUMENTS_AT_ONCE)):
        yield from _encode(tokenizer, some, literal=True)


def _encode(tokenizer: Any, texts: Sequence[str], *, literal: bool) -> list[list[int]]:
    if not texts:
        return []
    if _is_plain(tokenizer):
        return _encode_plainly(tokenizer, texts, literal=literal)
    ids: list[list[int]] = tokenizer(
        list(texts),
        add_special_tokens=False,
        split_special_tokens=literal,
        return_attention_mask=False,
        verbose=False,
    )["input_ids"]
    return ids


def _is_plain(tokenizer: Any) -> bool:
    """Say whether the tokenizer's own call does nothing but hand texts to its backend."""
    from transformers import PreTrainedTokenizerFast

    known: Any = PreTrainedTokenizerFast
    return isinstance(tokenizer, known) and all(
        getattr(type(tokenizer), name, None) is getattr(known, name, None) for name in _OWN_WAYS
    )


def _encode_plainly(tokenizer: Any, texts: Sequence[str], *, literal: bool) -> list[list[int]]:
    """Do what the tokenizer's call does, without the places of tokens in the texts, which nobody wants."""
    backend = tokenizer.backend_tokenizer
    if backend.truncation is not None:
        backend.no_truncation()
    if backend.padding is not None:
        backend.no_padding()
    if backend.encode_special_tokens != literal:
        backend.encode_special_tokens = literal
    ids: list[list[int]] = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        some = list(texts[start : start + _TEXTS_AT_ONCE])
        ids.extend(one.ids for one in backend.encode_batch_fast(some, add_special_tokens=False))
    return ids


def _join_speakers(messages: Conversation) -> list[dict[str, str]]:
    """Join a system message to the turn after it, and the turns of one speaker in a row, by blank lines."""
    joined: list[dict[str, str]] = []
    for message in messages:
        if joined and joined[-1]["role"] in ("system", message["role"]):
            joined[-1] = {**message, "content": f"{joined[-1]['content']}\n\n{message['content']}"}
        else:
            joined.append(dict(message))
    return joined
