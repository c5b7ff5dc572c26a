"""Filling gaps: an encoder reads a document in two parts, as it will read a prompt and its response.

Masked language modelling (Devlin et al. 2019, arXiv:1810.04805, section 3.1) by the library's own collator:
of the hidden tokens 80 % are [MASK], 10 % any token, 10 % themselves. Both parts are of one document; whether
one follows the other is not asked, which helps nothing (Liu et al. 2019, arXiv:1907.11692, section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DataCollatorForLanguageModeling

from rlhf.pretraining.documents import Documents, Sizes, cut_documents, draw, split_place
from rlhf.rendering import pad_right

__all__ = ["MASKED_FRACTION", "MaskedPairs", "pair_ids"]

IGNORED = -100  # the label that losses leave out
MASKED_FRACTION = 0.15  # BERT's


class MaskedPairs(torch.utils.data.Dataset[dict[str, list[int]]]):
    """Documents as ``[CLS] a [SEP] b [SEP]`` with gaps; place and gaps are others in each epoch.

    Args:
        texts: the documents.
        tokenizer: an encoder's.
        context_tokens: longest sequence, the three special tokens included.
        seed: of the places and the gaps.
        masked_fraction: share of the tokens that is hidden; special tokens never are.

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
        masked_fraction: float = MASKED_FRACTION,
    ) -> None:
        self.documents: Documents = cut_documents(texts, tokenizer, context_tokens - 3)
        self.epoch = 0
        self.sizes = Sizes(len(self.documents), self.documents.length)
        self._seed = seed
        self._tokenizer = tokenizer
        self._masker: Any = DataCollatorForLanguageModeling(tokenizer, mlm_probability=masked_fraction)

    def __len__(self) -> int:
        return len(self.documents)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        ids, generator = self.documents[index], draw(self._seed, self.epoch, index)
        place = split_place(len(ids), generator)
        cls, sep = self._tokenizer.cls_token_id, self._tokenizer.sep_token_id
        whole, types, special = pair_ids(ids[:place], ids[place:], cls, sep)
        self._masker.generator = torch.Generator().manual_seed(generator.getrandbits(63))
        shown, labels = self._masker.torch_mask_tokens(
            torch.tensor([whole]), special_tokens_mask=torch.tensor([special])
        )
        return {"input_ids": shown[0].tolist(), "token_type_ids": types, "labels": labels[0].tolist()}

    def collate(self, examples: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Pad on the right."""
        ids, mask = pad_right([one["input_ids"] for one in examples], self._tokenizer.pad_token_id)
        types, _ = pad_right([one["token_type_ids"] for one in examples], 0)
        labels, _ = pad_right([one["labels"] for one in examples], IGNORED)
        return {"input_ids": ids, "attention_mask": mask.long(), "token_type_ids": types, "labels": labels}


def pair_ids(
    first: Sequence[int], second: Sequence[int], cls: int, sep: int
) -> tuple[list[int], list[int], list[bool]]:
    """Put two texts together; returns ids, token types, and which are special tokens.

    >>> pair_ids([7], [8, 9], 2, 3)
    ([2, 7, 3, 8, 9, 3], [0, 0, 0, 1, 1, 1], [True, False, True, False, False, True])
    """
    special = [True, *[False] * len(first), True, *[False] * len(second), True]
    types = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return [cls, *first, sep, *second, sep], types, special
