"""Whether the token ids of one tokenizer mean the same to a model of another one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rlhf.renderer import Renderer

__all__ = ["reads_ids", "same_rendering", "same_tokens"]


def reads_ids(policy: Renderer, tokenizer: PreTrainedTokenizerBase, num_embeddings: int) -> bool:
    """Return whether a decoder with `tokenizer` may be given a policy's ids, prompt and response in a row.

    `num_embeddings` are the decoder's. A policy may have more for the same tokenizer (most published models
    are rounded up, those of one family to different sizes), and could sample an id that the decoder lacks.
    """
    if policy.pairs or policy.opening or (policy.num_embeddings or 0) > num_embeddings:
        return False
    return same_rendering(policy.tokenizer, tokenizer)


def same_rendering(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    """Return whether `other` makes the ids of `one` out of every conversation, so that ids may go across.

    A pad token that only `other` has is no difference: reward models are given one of their own, and nobody
    writes it.
    """
    extra = {other.pad_token} if other.pad_token not in one.get_vocab() else set()
    vocabulary = {token: index for token, index in other.get_vocab().items() if token not in extra}
    if one.get_vocab() != vocabulary or one.chat_template != other.chat_template:
        return False
    backends = [getattr(tokenizer, "backend_tokenizer", None) for tokenizer in (one, other)]
    if any(backend is None for backend in backends):
        return type(one) is type(other)
    return _encoding_rules(backends[0], extra) == _encoding_rules(backends[1], extra)


def same_tokens(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    """Return whether every token of `one` has the same id in `other`: its model may read ids of `one`."""
    return one.get_vocab().items() <= other.get_vocab().items()


def _encoding_rules(backend: Any, without: set[Any]) -> dict[str, Any]:
    rules: dict[str, Any] = json.loads(backend.to_str())
    rules["added_tokens"] = [token for token in rules["added_tokens"] if token["content"] not in without]
    return {key: value for key, value in rules.items() if key not in ("padding", "truncation")}
