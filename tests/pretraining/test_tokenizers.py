from __future__ import annotations

import string
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from rlhf.errors import ModelError
from rlhf.pairs import inspect_pairs, supply_pair_template
from rlhf.pretraining.tokenizers import SPECIAL_TOKENS, train_tokenizer, train_wordpiece
from tests.pretraining.texts import TEXTS


def test_tokenizer_writes_every_text_back() -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    for text in ("plain", "  two  spaces\n", "ünïcode 漢字 🙂", "a <|user|> marker"):
        assert tokenizer.decode(tokenizer(text, split_special_tokens=True)["input_ids"]) == text
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [0, 1, 2, 3, 4]
    assert tokenizer.unk_token_id is None


def test_inv23_prompt_does_not_end_with_the_end_token() -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|user|>a<|assistant|>b<|end|><|user|>c<|assistant|>"


def test_a_vocabulary_without_room_for_letters_is_refused() -> None:
    with pytest.raises(ModelError, match=r"model\.vocabulary_size: 100 is too small"):
        train_tokenizer(TEXTS, 100, 32)
    letters = len(string.ascii_letters + string.digits + string.punctuation) + 1
    with pytest.raises(ModelError, match=rf"model\.vocabulary_size: 40 .* need {7 + 2 * letters}"):
        train_wordpiece([*TEXTS, "漢 é"], 40, 32)
    assert len(train_wordpiece([*TEXTS, "é"], 5 + 2 * letters, 32)) == 5 + 2 * letters


def test_wordpiece_reads_two_texts_as_bert_does(tmp_path: Path) -> None:
    tokenizer = train_wordpiece(TEXTS, 260, 32)
    found = tokenizer("the ünïcode", "bread.")
    assert tokenizer.convert_ids_to_tokens(found["input_ids"]) == [
        "[CLS]", "the", "[UNK]", "[SEP]", "bread", ".", "[SEP]",
    ]  # fmt: skip
    assert found["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1]
    assert tokenizer.convert_ids_to_tokens(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    supply_pair_template(tokenizer)
    facts = inspect_pairs(tokenizer)
    assert (facts.opening, facts.between, facts.end_token_id) == ((2,), (3,), 3)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again("the ünïcode", "bread.") == found
    assert again.model_max_length == 32


def test_wordpiece_writes_every_word_of_its_letters() -> None:
    """Each letter is there at the start of a word and inside, so no word of known letters is unknown."""
    tokenizer = train_wordpiece(TEXTS, 220, 32)
    for word in ("drab", "Tbda", "7h9", "Quiz"):
        assert tokenizer.decode(tokenizer(word, add_special_tokens=False)["input_ids"]) == word
    assert tokenizer("漢", add_special_tokens=False)["input_ids"] == [tokenizer.unk_token_id]


def test_inv16_wordpiece_is_the_same_in_every_process() -> None:
    """The library's trainer by itself breaks ties by the order of a hash table."""
    code = (
        "from rlhf.pretraining.tokenizers import train_wordpiece as train\n"
        "from tests.pretraining.texts import TEXTS\n"
        "vocabulary = train(TEXTS, 250, 32).get_vocab()\n"
        "print(sorted(vocabulary, key=vocabulary.get))"
    )
    said = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout}
    vocabulary = train_wordpiece(TEXTS, 250, 32).get_vocab()
    said |= {f"{sorted(vocabulary, key=vocabulary.get)}\n"}
    said |= {
        f"{sorted(v, key=v.get)}\n" for v in (train_wordpiece(TEXTS, 250, 32).get_vocab() for _ in range(4))
    }
    assert len(said) == 1
