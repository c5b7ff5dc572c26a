"""Prompt and response as two texts, as encoders read them."""

from __future__ import annotations

import pytest
from transformers import BertTokenizer

from rlhf.errors import ModelError
from rlhf.pairs import inspect_pairs, supply_pair_template
from rlhf.rendering import Renderer
from tests.encoders import ANSWERS, ASK, ENCODERS, TALK
from tests.helpers import tiny_tokenizer


def test_inv41_ids_are_those_of_the_tokenizers_own_call_on_two_texts() -> None:
    for name, (_, _, make) in ENCODERS.items():
        tokenizer = make()
        renderer = Renderer(tokenizer, pairs=True)
        for messages in (ASK, TALK):
            asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            for answer in ANSWERS:
                own = tokenizer([asked], [answer], split_special_tokens=True)["input_ids"][0]
                assert renderer.render_prompt(messages) + renderer.render_response(answer) == own, name
        assert tokenizer.apply_chat_template(ASK, tokenize=False) == "Say bread 7."


def test_a_cut_response_is_to_an_encoder_a_text_that_stops() -> None:
    renderer = Renderer(ENCODERS["bert"][2](), pairs=True)
    assert renderer.render_sampled("The cat", ended=False) == renderer.render_sampled("The cat", ended=True)
    assert renderer.render_response("The cat")[-1] == renderer.tokenizer.sep_token_id


def test_inv25_a_long_prompt_loses_its_oldest_part_and_keeps_what_opens_and_parts_it() -> None:
    renderer = Renderer(ENCODERS["roberta"][2](), pairs=True, max_prompt_tokens=20)
    whole = Renderer(ENCODERS["roberta"][2](), pairs=True)
    ids = renderer.render_prompt([*TALK[:2], {"role": "user", "content": "Say " + "why " * 20 + "bread."}])
    tail = whole.render_prompt([{"role": "user", "content": "bread."}])[1:]
    assert len(ids) <= 20
    assert (ids[0], ids[-len(tail) :]) == (renderer.tokenizer.cls_token_id, tail)
    assert renderer.counts == {"cut_within_turn": 1}


def test_a_tokenizer_that_knows_no_letter_of_two_texts_parts_them_all_the_same() -> None:
    """Both are then the same one token, and one must not be taken for the other."""
    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", "bread")
    tokenizer = BertTokenizer(vocab={name: number for number, name in enumerate(names)})
    supply_pair_template(tokenizer)
    facts = inspect_pairs(tokenizer)
    assert (facts.opening, facts.between, facts.end_token_id) == ((2,), (3,), 3)
    alone = BertTokenizer(vocab={name: number for number, name in enumerate(names[:5])})
    supply_pair_template(alone)
    assert inspect_pairs(alone) == facts


def test_tokenizers_that_make_no_pair_are_refused() -> None:
    with pytest.raises(ModelError, match="an encoder's puts a separator between them"):
        Renderer(tiny_tokenizer(), pairs=True)
    tokenizer = ENCODERS["bert"][2]()
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}[SEP]{% endfor %}"
    with pytest.raises(ModelError, match="writes the tokens that open and part the two texts"):
        Renderer(tokenizer, pairs=True)
    tokenizer = ENCODERS["bert"][2]()
    tokenizer.pad_token = None
    with pytest.raises(ModelError, match="has no padding token"):
        Renderer(tokenizer, pairs=True)
