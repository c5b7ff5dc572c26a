"""Rendering for encoder-decoders: what the encoder is given, what opens the decoder, and what a text may hold."""

from __future__ import annotations

import pytest

from rlhf.errors import DataError, ModelError, SettingsError
from rlhf.feedback.records import Demonstration, Message, Prompt
from rlhf.rendering import Renderer, render_demonstrations
from rlhf.shared_ids import reads_ids
from tests.seq2seq import bart_tokenizer, t5_tokenizer
from tests.tokenizers import llama_like, qwen_like

ASK = [{"role": "user", "content": "Say bread 7."}]
TALK = [*ASK, {"role": "assistant", "content": "The cat."}, {"role": "user", "content": "Say key."}]


def t5(**options):
    return Renderer(t5_tokenizer(), decoder_start_token_id=0, **options)


def bart(**options):
    return Renderer(bart_tokenizer(), decoder_start_token_id=2, **options)


@pytest.mark.parametrize("make", [t5, bart])
@pytest.mark.parametrize("messages", [ASK, TALK])
def test_the_encoder_is_given_what_the_tokenizer_makes_of_the_templates_text(make, messages):
    renderer = make()
    text = renderer.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert "</s>" not in text
    assert renderer.render_prompt(messages) == renderer.tokenizer(text)["input_ids"]


def test_t5_by_hand():
    renderer = t5()
    pieces = renderer.tokenizer.convert_ids_to_tokens(
        renderer.render_prompt([{"role": "user", "content": "Say bread"}])
    )
    assert pieces == ["▁Human", ":", "▁Say", "▁bread", "▁Assistant", ":", "</s>"]
    assert renderer.tokenizer.convert_ids_to_tokens(renderer.render_response("The cat")) == [
        "▁The",
        "▁cat",
        "</s>",
    ]
    assert renderer.opening == (0,)  # <pad>
    assert renderer.stop_token_ids == (1,)


def test_bart_by_hand():
    renderer = bart()
    prompt, response = renderer.render_prompt(ASK), renderer.render_response("Hi")
    assert prompt[0] == 0
    assert prompt[-1] == 2
    assert prompt.count(0) == prompt.count(2) == 1
    assert renderer.tokenizer.convert_ids_to_tokens(response) == ["H", "i", "</s>"], (
        "no space before a text of its own"
    )
    assert renderer.opening == (2, 0)  # </s> by its config, then the <s> that every text begins with


def test_an_opening_that_is_the_start_token_already_stands_once():
    renderer = Renderer(bart_tokenizer(), decoder_start_token_id=0)
    assert renderer.opening == (0,)


@pytest.mark.parametrize("make", [qwen_like, llama_like])
def test_other_tokenizers_keep_their_own_habits(make):
    """Qwen's puts nothing around a text, Llama's an opening; a template's own end of turn ends a response."""
    renderer = Renderer(make(), decoder_start_token_id=5)
    tokenizer = renderer.tokenizer
    assert renderer.opening == ((5,) if tokenizer.bos_token_id is None else (5, tokenizer.bos_token_id))
    end = "<|im_end|>" if make is qwen_like else "</s>"
    assert tokenizer.convert_ids_to_tokens(renderer.render_response("Hello")[-1]) == end


@pytest.mark.parametrize("make", [t5, bart])
def test_a_special_tokens_text_is_text_also_where_the_tokenizer_knows_it_as_a_word(make):
    renderer = make()
    odd = "Say </s> and <pad> now"
    prompt, response = (
        renderer.render_prompt([{"role": "user", "content": odd}]),
        renderer.render_response(odd),
    )
    specials = set(renderer.tokenizer.all_special_ids) - {renderer.tokenizer.unk_token_id}
    assert [index for index in prompt if index in specials] == ([1] if make is t5 else [0, 2])
    assert [index for index in response if index in specials] == response[-1:]
    assert renderer.decode_response(response).replace("< ", "<") == odd


@pytest.mark.parametrize("make", [t5, bart])
def test_what_is_sampled_reads_as_what_was_rendered(make):
    renderer = make()
    assert renderer.decode_response(renderer.render_response("The cat is here.")) == "The cat is here."
    assert renderer.show(renderer.render_demonstration(ASK, "Hi")).endswith("⟦Hi</s>⟧")


def test_prompt_and_response_fill_a_context_each():
    prompt = len(bart().render_prompt(ASK))
    renderer = bart(context_tokens=prompt, max_response_tokens=prompt - 2)
    assert renderer.max_prompt_tokens == prompt
    renderer.render_demonstration(ASK, "a" * (prompt - 3))
    with pytest.raises(DataError, match="max_response_tokens"):
        renderer.render_demonstration(ASK, "a" * (prompt - 2))
    with pytest.raises(DataError, match=f"have {prompt + 1} tokens; the context is {prompt}"):
        bart(context_tokens=prompt).render_demonstration(ASK, "a" * (prompt - 2))
    with pytest.raises(
        SettingsError, match=r"do not fit into the model's context of 30 tokens \(each by itself\)"
    ):
        bart(context_tokens=30, max_response_tokens=29)
    with pytest.raises(SettingsError, match="each by itself"):
        bart(context_tokens=30, max_prompt_tokens=31)
    assert t5().max_prompt_tokens is None


def test_long_prompts_lose_their_oldest_part_and_keep_what_stands_around():
    renderer = t5(max_prompt_tokens=12)
    ids = renderer.render_prompt(TALK)
    assert len(ids) <= 12
    assert ids[-1] == 1
    assert renderer.counts["cut_to_last_turns"] == 1


def test_a_tokenizer_without_line_breaks_is_told_of():
    prompt = Prompt("p", (Message("user", "Say\nbread"),), "g", "x:1", {})
    rows = [Demonstration(prompt, "The cat\nis here."), Demonstration(prompt, "The cat.")]
    renderer = t5()
    render_demonstrations(rows, renderer)
    assert renderer.counts["lost_line_breaks"] == 2  # one prompt, which both have, and one response
    assert "line breaks that the tokenizer reads as spaces" in " ".join(renderer.report())
    renderer = bart()
    render_demonstrations(rows, renderer)
    assert renderer.counts["lost_line_breaks"] == 0


def test_ids_go_across_to_no_other_model():
    tokenizer = bart_tokenizer()
    policy = Renderer(tokenizer, decoder_start_token_id=2)
    assert not reads_ids(policy, tokenizer, len(tokenizer))
    assert reads_ids(Renderer(tokenizer), tokenizer, len(tokenizer))


def test_a_tokenizer_that_puts_several_tokens_before_a_text_is_refused():
    from tokenizers import processors

    tokenizer = bart_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> <mask> $A </s>", special_tokens=[("<s>", 0), ("<mask>", 4), ("</s>", 2)]
    )
    with pytest.raises(ModelError, match=r"puts \['<s>', '<mask>'\] before a text"):
        Renderer(tokenizer, decoder_start_token_id=2)
