"""Text to text: an encoder reads a document's beginning, a decoder writes the rest.

Of the objectives of Raffel et al. (2020, arXiv:1910.10683, section 3.3.1) this is the prefix language model.
T5 itself was trained on the corruption of spans, which came out ahead there for classification and short
answers; but a decoder that has only ever written lists of missing spans does not write text: it has to be
trained on prefixes afterwards, for as much as a tenth of the steps, before it goes on from a prompt (Lester
et al. 2021, arXiv:2104.08691, section 3.1). SFT and PPO do nothing but go on from a prompt, so that is learnt
from the start.

What the decoder learns last, or not at all, is to look up in the encoder what it is to say again, a name, a
thing: beginnings seldom ask for that. Where it has to say what it has read, as BART's has (Lewis et al. 2019,
arXiv:1910.13461, section 2), it learns that first. So the rest of some documents is taken from further ahead,
out of the beginning: the decoder copies up to its end, and goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rlhf.pretraining.documents import Documents, Sizes, cut_documents, draw, split_place
from rlhf.rendering import pad_right

__all__ = ["COPIED_FRACTION", "TextToText", "collate_text_to_text"]

IGNORED = -100  # the label that losses leave out
COPIED_FRACTION = 0.5
SIMILAR_TOKENS = 8  # documents whose lengths differ by less are put together by where they are split


class TextToText(torch.utils.data.Dataset[dict[str, list[int]]]):
    """Documents with their end token, each split at a random place that is another one in each epoch.

    The encoder reads the end token behind the beginning, as T5's does: it cannot know otherwise which token
    is the last, and that is what the decoder goes on from.

    Args:
        texts: the documents.
        tokenizer: encodes them; its padding token starts the decoder, as in T5.
        context_tokens: longest document; what is longer is cut into pieces of that length.
        seed: of the places.
        copied_fraction: share of the documents whose rest starts at a random place of the beginning.

    Raises:
        DataError: no document has two tokens.
    """

    def __init__(
        self,
        texts: Sequence[str],
        tokenizer: Any,
        *,
        context_tokens: int,
        seed: int,
        copied_fraction: float = COPIED_FRACTION,
    ) -> None:
        self.documents: Documents = cut_documents(texts, tokenizer, context_tokens, tokenizer.eos_token_id)
        self.epoch = 0
        self.sizes = Sizes(len(self.documents), self._size)
        self._seed = seed
        self._copied_fraction = copied_fraction
        self._pad, self._end = tokenizer.pad_token_id, tokenizer.eos_token_id

    def __len__(self) -> int:
        return len(self.documents)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        ids, (place, start) = self.documents[index], self._places(index)
        return {"prompt": [*ids[:place], self._end], "response": ids[start:]}

    def collate(self, examples: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Make a batch, see `collate_text_to_text`."""
        return collate_text_to_text(examples, self._pad)

    def _places(self, index: int) -> tuple[int, int]:
        """Return where the beginning ends and where the rest starts: there, or in the beginning."""
        generator = draw(self._seed, self.epoch, index)
        place = split_place(self.documents.length(index), generator)
        return place, generator.randrange(place) if generator.random() < self._copied_fraction else place

    def _size(self, index: int) -> tuple[int, int]:
        """Order by the length of both parts and then by place, up and down in turns: neighbours are alike."""
        place, start = self._places(index)
        similar = (self.documents.length(index) + place - start) // SIMILAR_TOKENS
        return similar, place if similar % 2 else -place


def collate_text_to_text(
    examples: Sequence[dict[str, list[int]]], pad_token_id: int
) -> dict[str, torch.Tensor]:
    """Pad prompts for the encoder and responses for the decoder, both on the right.

    The decoder reads each response one place later, behind the padding token (Raffel et al. 2020, section
    3.1), and is to say it: ``labels``, with `IGNORED` behind the end.

    >>> examples = [{"prompt": [7, 8], "response": [9, 1]}, {"prompt": [5], "response": [1]}]
    >>> batch = collate_text_to_text(examples, 0)
    >>> batch["input_ids"].tolist(), batch["decoder_input_ids"].tolist(), batch["labels"].tolist()
    ([[7, 8], [5, 0]], [[0, 9], [0, 0]], [[9, 1], [1, -100]])
    """
    ids, mask = pad_right([one["prompt"] for one in examples], pad_token_id)
    labels, is_response = pad_right([one["response"] for one in examples], IGNORED)
    before, _ = pad_right([[pad_token_id, *one["response"][:-1]] for one in examples], pad_token_id)
    assert bool(is_response.any(1).all())
    return {"input_ids": ids, "attention_mask": mask.long(), "decoder_input_ids": before, "labels": labels}
