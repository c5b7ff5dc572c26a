"""Make a small GPT from text: a byte-level tokenizer, a GPT-2 from scratch, and next-token prediction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainingArguments

from rlhf.errors import DataError, ModelError
from rlhf.models.attention import choose_attention
from rlhf.rendering import encode_documents
from rlhf.runs.folder import RunFolder
from rlhf.training.loop import Evaluate, PlannedTrainer
from rlhf.training.plan import TrainingPlan, trainer_arguments

__all__ = ["SPECIAL_TOKENS", "Packed", "block_loss", "build_gpt2", "pack", "pretrain", "train_tokenizer"]

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


class Packed(NamedTuple):
    """Text as blocks of equal length."""

    blocks: torch.Tensor  # (N, T) int64
    num_documents: int
    num_tokens: int  # of all documents, end tokens included
    num_dropped_tokens: int  # the last, unfilled block


def train_tokenizer(texts: Iterable[str], vocabulary_size: int, context_tokens: int) -> Any:
    """Train a byte-level BPE tokenizer: every text can be written and read back exactly, no token is unknown.

    Pad, end and the three roles get tokens of their own, and a chat template that uses them.

    Args:
        texts: what to learn merges from.
        vocabulary_size: with the 256 bytes and the special tokens; small texts may give fewer.
        context_tokens: kept as `model_max_length`.

    Raises:
        ModelError: the vocabulary is smaller than the bytes and the special tokens.

    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
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


def build_gpt2(tokenizer: Any, *, layers: int, width: int, heads: int, context_tokens: int) -> Any:
    """Build a GPT-2 with fresh weights (from torch's global generator) and without dropout.

    Raises:
        ModelError: the width is no multiple of the number of heads.

    """
    from transformers import GPT2Config, GPT2LMHeadModel

    if width % heads:
        raise ModelError(f"{width} is no multiple of model.heads {heads}", where="model.width")
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=context_tokens,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        activation_function="gelu_pytorch_tanh",  # GPT-2's own function, in one kernel
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return choose_attention(GPT2LMHeadModel(config))


def pack(texts: Sequence[str], tokenizer: Any, context_tokens: int) -> Packed:
    """Join documents with end tokens and cut the stream into blocks: no position is wasted on padding.

    Markers such as "<|user|>" inside a text are read as text, never as special tokens.

    Raises:
        DataError: all texts together do not fill one block.

    """
    stream = encode_documents(texts, tokenizer)
    num_blocks = len(stream) // context_tokens
    if num_blocks == 0:
        raise DataError(
            f"{len(texts)} documents make {len(stream)} tokens, less than one block of {context_tokens}; "
            "add text or lower model.context_tokens"
        )
    blocks = torch.frombuffer(stream, dtype=torch.int32)[: num_blocks * context_tokens]
    blocks = blocks.long().view(num_blocks, context_tokens)
    return Packed(blocks, len(texts), len(stream), len(stream) - blocks.numel())


class _Blocks(torch.utils.data.Dataset):
    """Rows of a tensor in the form that the library's collator takes."""

    def __init__(self, blocks: torch.Tensor) -> None:
        self.blocks = blocks

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.blocks[index], "labels": self.blocks[index]}


class _PretrainingTrainer(PlannedTrainer, Trainer):
    """`transformers.Trainer` with our schedule and order of the data."""


def pretrain(
    model: Any,
    blocks: torch.Tensor,
    plan: TrainingPlan,
    *,
    run: RunFolder,
    evaluate: Evaluate | None = None,
) -> int:
    """Train a causal language model in place on blocks of text.

    Args:
        model: predicts each token of a block from those before it.
        blocks: (N, T) token ids.
        plan: sizes count blocks.
        run: gets metrics and checkpoints, and says which checkpoint to go on from.
        evaluate: called every `plan.evaluate_every` steps; what it returns is recorded.

    Returns:
        The number of optimizer steps of the whole run.

    Raises:
        SettingsError: sizes do not divide, or fewer blocks than a batch.
        RunError: the loss is no number any more.

    """
    trainer = _PretrainingTrainer(
        plan=plan,
        section="base",
        run=run,
        evaluate=evaluate,
        lengths=[blocks.shape[1]] * len(blocks),
        model=model,
        args=TrainingArguments(**trainer_arguments(plan, run, len(blocks), "base")),
        train_dataset=_Blocks(blocks),
    )
    return trainer.fit()


@torch.no_grad()
def block_loss(model: Any, blocks: torch.Tensor, batch_size: int) -> float:
    """Return the mean negative log-likelihood of the tokens of (N, T) blocks, in nats a token."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    total, num_tokens = 0.0, 0
    for start in range(0, len(blocks), batch_size):
        ids = blocks[start : start + batch_size].to(device)
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        total += float(
            cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1), reduction="sum")
        )
        num_tokens += ids[:, 1:].numel()
    model.train(was_training)
    return total / num_tokens


def perplexity(loss: float) -> float:
    """Return e to a loss in nats, bounded where it would overflow."""
    return math.exp(min(loss, 700.0))
