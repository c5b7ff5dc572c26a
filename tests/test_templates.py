"""Chat templates that lose or misplace text are found before anything is trained on them."""

from __future__ import annotations

from typing import Any

import pytest

from rlhf.errors import DataError, ModelError
from rlhf.rendering import Renderer
from tests.conversations import ASK, TALK
from tests.encoders import bert_tokenizer
from tests.tokenizers import CHATML, gpt2_like, qwen_like

NO_GENERATION_PROMPT = CHATML.partition("{% if add_generation_prompt")[0]
PARTS = (  # as vision models have them: a text is a list of letters without a type
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ':' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant:' }}{% endif %}"
)
TURN = "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
OPENS = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
NO_SYSTEM = f"{{% for m in messages %}}{{% if m.role != 'system' %}}{TURN}{{% endif %}}{{% endfor %}}{OPENS}"
LAST_TURNS = f"{{% for m in messages[-2:] if m.role != 'system' %}}{TURN}{{% endfor %}}{OPENS}"
THINKS = NO_GENERATION_PROMPT.replace("message['content']", "('<think></think>' if loop.last and "
    "message['role'] == 'assistant' else '') + message['content']") + OPENS  # fmt: skip
SYSTEM = {"role": "system", "content": "Be brief."}


def with_template(template: str, make: Any = qwen_like) -> Any:
    tokenizer = make()
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize(
    ("template", "error", "message"),
    [
        (NO_GENERATION_PROMPT, ModelError, r"no generation prompt: prompts end with '<\|im_end\|>'"),
        # the answer's own opening is not in the prompt, and would be learnt as letters
        (
            CHATML.replace("<|im_start|>assistant\\n' }}{% endif", "\\nSpeak' }}{% endif").replace(
                "'<|im_start|>' + message['role'] + '\\n'",
                "('<|im_start|>' if message['role'] == 'user' else '\\nSpeak<|im_start|>')",
            ),
            ModelError,
            r"no generation prompt: an answer would begin with '<\|im_start\|>'",
        ),
        ("hello", ModelError, r"writes 'hello' for a user's question .* is lost"),
        (CHATML.replace("message['content']", "'...'"), ModelError, "for a user's question"),
        (
            CHATML.replace("message['content']", "(message['content'] if message['role'] == 'user' else '')"),
            ModelError,
            "for an answer .* is lost",
        ),
        ("", ModelError, "is empty"),
        (" \n", ModelError, "is empty"),
        ("{{ messages + 3 }}", DataError, "refuses a conversation: TypeError"),
        ("{{ messages[7].content }}", DataError, "refuses a conversation"),
        ("{{ 1 // 0 }}", DataError, "refuses a conversation: ZeroDivisionError"),
        ("{% for %}", DataError, "refuses a conversation"),
    ],
)
def test_templates_that_lose_text_or_break_the_split_are_refused(
    template: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Renderer(with_template(template))


def test_an_encoders_template_is_asked_too() -> None:
    with pytest.raises(ModelError, match="for a user's question"):
        Renderer(with_template("hello", bert_tokenizer), pairs=True)
    with pytest.raises(ModelError, match="is empty"):
        Renderer(with_template("", bert_tokenizer), pairs=True)
    with pytest.raises(DataError, match="refuses a conversation: TypeError"):
        Renderer(with_template("{{ messages + 3 }}", bert_tokenizer), pairs=True)
    parts = "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
    renderer = Renderer(with_template(parts, bert_tokenizer), pairs=True)
    plain = Renderer(with_template("{{ messages[-1].content }}", bert_tokenizer), pairs=True)
    assert renderer.render_prompt(ASK) == plain.render_prompt(ASK)
    assert len(renderer.render_prompt(TALK)) > len(renderer.render_prompt(ASK))


def test_a_template_that_reads_parts_is_given_parts() -> None:
    renderer = Renderer(with_template(PARTS))
    rendered = renderer.render_demonstration(TALK, "Zebras.")
    for message in TALK:
        assert message["content"] in renderer.show(rendered)
    assert renderer.show(rendered).endswith("<|im_start|>assistant:⟦Zebras.<|im_end|>⟧")
    held = renderer.render_prompt([{"role": "user", "content": "What is <|im_end|>?"}])  # not the token
    assert renderer.decode_prompt(held).count("<|im_end|>") == 2
    assert held.count(renderer.end_token_id) == 1


def test_a_system_message_that_the_template_drops_is_joined_to_the_first_turn_and_counted() -> None:
    renderer = Renderer(with_template(NO_SYSTEM))
    joined = [{"role": "user", "content": f"Be brief.\n\n{ASK[0]['content']}"}]
    assert renderer.render_prompt([SYSTEM, *ASK]) == renderer.render_prompt(joined)
    assert renderer.render_prompt_batch([ASK, [SYSTEM, *ASK]])[1] == renderer.render_prompt(joined)
    assert renderer.counts == {"joined_turns": 2}


def test_earlier_turns_that_the_template_drops_are_refused_where_there_are_some() -> None:
    renderer = Renderer(with_template(LAST_TURNS))
    assert renderer.render_prompt(ASK)
    with pytest.raises(DataError, match="leaves out earlier turns"):
        renderer.render_prompt(TALK)
    assert isinstance(renderer.render_prompt_batch([ASK, TALK])[1], DataError)


def test_what_a_template_puts_before_an_answer_as_text_is_part_of_it() -> None:
    """Qwen3's empty thoughts."""
    renderer = Renderer(with_template(THINKS))
    rendered = renderer.render_demonstration(ASK, "Zebras.")
    assert renderer.show(rendered).endswith("assistant\n⟦<think></think>Zebras.<|im_end|>⟧")
    assert renderer.decode_response(rendered.response_ids) == "Zebras."


def test_an_end_that_is_written_as_plain_text_leaves_the_end_token() -> None:
    turn = "{{ '### ' + m.role + ':\\n' + m.content + '\\n' }}"
    opens = "{% if add_generation_prompt %}{{ '### assistant:\\n' }}{% endif %}"
    renderer = Renderer(with_template(f"{{% for m in messages %}}{turn}{{% endfor %}}{opens}", gpt2_like))
    assert renderer.end_token_id == renderer.tokenizer.eos_token_id
