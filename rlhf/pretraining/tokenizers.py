"""Tokenizers made from text: byte-level BPE for models that write, WordPiece for an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rlhf.errors import ModelError

__all__ = ["SPECIAL_TOKENS", "train_tokenizer", "train_wordpiece"]

PAD, END = "<|pad|>", "<|end|>"
ROLES = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
SPECIAL_TOKENS = (PAD, END, *ROLES.values())

# A marker before each turn; the assistant's turns end with the end token, which is what sampling stops at.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

# BERT's own (Devlin et al. 2019), in the places where its library expects them.
WORDPIECE_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUES = "##"


def train_tokenizer(
    texts: Iterable[str], vocabulary_size: int, context_tokens: int, *, ends_texts: bool = False
) -> Any:
    """Train a byte-level BPE tokenizer: every text can be written and read back exactly, no token is unknown.

    Pad, end and the three roles get tokens of their own, and a chat template that uses them.

    Args:
        texts: what to learn merges from.
        vocabulary_size: with the 256 bytes and the special tokens; small texts may give fewer.
        context_tokens: kept as `model_max_length`.
        ends_texts: put the end token behind each text, as T5's tokenizer does.

    Raises:
        ModelError: the vocabulary is smaller than the bytes and the special tokens.

    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    smallest = len(alphabet) + len(SPECIAL_TOKENS)
    if vocabulary_size < smallest:
        raise ModelError(
            f"{vocabulary_size} is too small; bytes and special tokens need {smallest}",
            "model.vocabulary_size",
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if ends_texts:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
        )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=list(ROLES.values()),
        clean_up_tokenization_spaces=False,
        model_max_length=context_tokens,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def train_wordpiece(texts: Sequence[str], vocabulary_size: int, context_tokens: int) -> Any:
    """Train a WordPiece tokenizer that tells small and capital letters apart and reads two texts.

    ``tokenizer(a, b)`` is ``[CLS] a [SEP] b [SEP]`` with token types 0 and 1 (Devlin et al. 2019,
    arXiv:1810.04805, section 3). A word with a letter that is neither in the texts nor in ASCII
    becomes [UNK].

    Args:
        texts: what to learn pieces from.
        vocabulary_size: with the special tokens and every letter twice, at the start of a word and inside;
            small texts may give fewer.
        context_tokens: kept as `model_max_length`.

    Raises:
        ModelError: the vocabulary is smaller than the special tokens and the letters of the texts.

    """
    from tokenizers import Tokenizer, models, trainers
    from transformers import BertTokenizer

    reader = BertTokenizer(do_lower_case=False).backend_tokenizer
    letters = _letters(texts, reader)
    # All single letters get their ids here: the library's trainer would number those inside words in the
    # order of a hash table, which is another one in every process, and break ties by these numbers.
    first = [*WORDPIECE_SPECIAL_TOKENS, *letters, *(CONTINUES + letter for letter in letters)]
    if vocabulary_size < len(first):
        raise ModelError(
            f"{vocabulary_size} is too small; special tokens and {len(letters):,} letters, each at the start "
            f"of a word and inside, need {len(first):,}",
            "model.vocabulary_size",
        )
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = reader.normalizer, reader.pre_tokenizer
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary_size, special_tokens=first, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=False, model_max_length=context_tokens)


def _letters(texts: Sequence[str], reader: Any) -> list[str]:
    """Return the letters of ASCII and those that are left of the texts when they are read, in order."""
    found = set(map(chr, range(0x21, 0x7F)))
    for text in texts:
        found.update(text)
    plain = reader.normalizer.normalize_str("".join(sorted(found)))
    return sorted(letter for letter in set(plain) if not letter.isspace())
