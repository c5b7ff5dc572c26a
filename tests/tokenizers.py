"""Tokenizers as the public families have them, made in memory: one for each way in which they differ."""

from __future__ import annotations

import json
from functools import lru_cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tests.helpers import tiny_tokenizer

_TEXTS = (
    "Human: Why does the baker sell bread? Assistant: Zebras like it warm.",
    "Question? The answer is a short story with a cat and a lantern. Hello world.",
)

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA2 = (  # begins with the text of the bos token; refuses what does not alternate, and knows no system role
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] not in ('user', 'assistant') %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)


@lru_cache(maxsize=8)
def _byte_level(specials: tuple[str, ...]) -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS * 4, trainer)
    return tokenizer.to_str()


def gpt2_like(**options: object) -> PreTrainedTokenizerFast:
    """GPT-2: one special token for everything, no pad token, no template, no bos of its own."""
    end = "<|endoftext|>"
    arguments = {"bos_token": end, "eos_token": end, **options}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(_byte_level((end,))), **arguments)


def qwen_like() -> PreTrainedTokenizerFast:
    """Qwen: eos ends the document, <|im_end|> ends a turn; ChatML; pad is eos."""
    specials = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_byte_level(specials)),
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    tokenizer.chat_template = CHATML
    return tokenizer


def llama_like(chat_template: str | None = None, *, legacy: bool = False) -> PreTrainedTokenizerFast:
    """Llama: spaces are letters, one is put before any text; a post-processor adds the bos.

    The legacy form (Llama 2's own file) puts one there even where the text begins with a space.
    """
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", "<s>", "</s>", *bytes_],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS * 4, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    # The trainer makes special tokens of the bytes; in the real ones they are ordinary.
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] not in bytes_]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.pre_tokenizer = None
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    wrapped.chat_template = chat_template
    return wrapped


FAMILIES = {
    "world": tiny_tokenizer,
    "gpt2": gpt2_like,
    "qwen": qwen_like,
    "llama": llama_like,
    "llama_legacy": lambda: llama_like(legacy=True),
    "llama2_template": lambda: llama_like(LLAMA2),
}
