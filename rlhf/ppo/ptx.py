"""PPO-ptx: next-token prediction on text, mixed into the policy's gradient so that it does not unlearn it.

Ouyang et al. 2022 (InstructGPT, arXiv:2203.02155), equation 2: ptx.coef (27.8 there) times the likelihood of
pretraining text is added to the objective; gradients of both are added up in one buffer before the optimizer
steps (appendix C.4), with 8 times as many pretraining examples as episodes. We differ in one thing: the
likelihood is a mean over predicted tokens, not a sum over an example, so that it does not depend on where a
text is cut.

    rows = cut_texts(texts, tokenizer, max_tokens=256)
    text = PtxText(rows, coef=27.8, batch_size=32, microbatch_size=16, seed=1, pad_token_id=0)
    for loss in text.losses(learner, step):  # the optimizer step's number, from the start of training
        (text.coef * loss).backward()

Axes: B rows, T tokens (right-padded), V vocabulary.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rlhf.errors import DataError
from rlhf.feedback.records import Packed
from rlhf.feedback.shelf import shelve
from rlhf.maths.logprobs import token_logprobs
from rlhf.maths.masked import Reduce, masked_sum
from rlhf.models.seq2seq import Aside
from rlhf.ppo.batching import PromptOrder, exact_div, own_rows
from rlhf.rendering import Rendered, encode_stream, pad_right
from rlhf.sampling import derive_seed

__all__ = [
    "PtxBatch",
    "PtxText",
    "TextLoss",
    "TextPart",
    "TextRow",
    "cut_texts",
    "demonstration_rows",
    "policy_forward",
    "ptx_loss",
    "stack_rows",
    "text_loss",
]

Forward = Callable[..., Tensor]
"""ids (B, T), attention mask (B, T) bool -> logits (B, T - 1, V) that predict every token but the first.

That of an encoder-decoder also takes what the encoder reads (`Aside`); the rows are those of its decoder.
"""


@dataclass(frozen=True, slots=True)
class TextRow(Packed):
    """Token ids; the first `num_given` (at least 1) are only read, each of the others is predicted.

    `aside` is what an encoder-decoder's encoder reads; () for a decoder.
    """

    ids: Sequence[int]
    num_given: int = 1
    aside: Sequence[int] = ()

    @property
    def num_predicted(self) -> int:
        """Return how many tokens are predicted."""
        return len(self.ids) - self.num_given

    @property
    def num_read(self) -> int:
        """Return how many tokens are read."""
        return len(self.aside) + len(self.ids)


class TextPart(NamedTuple):
    """Rows that share a forward pass."""

    ids: Tensor  # (B, T) int64, right-padded
    mask: Tensor  # (B, T) bool, True where a row has a token
    predicted: Tensor  # (B, T) bool, True where the token at that place is predicted
    aside: Aside | None = None


class PtxBatch(NamedTuple):
    """The text of one optimizer step."""

    microbatches: tuple[TextPart, ...]  # of this process; equally many on every process
    num_tokens: int  # predicted in the step, over all processes: the divisor of the loss


class TextLoss(NamedTuple):
    """Mean negative log-likelihood in nats a token, and over how many tokens."""

    loss: float
    num_tokens: int


def cut_texts(texts: Iterable[str], tokenizer: Any, max_tokens: int) -> Sequence[TextRow]:
    """Join documents with end tokens, as in pretraining, and cut the stream into rows of `max_tokens` >= 2.

    The last row holds what is left over. Every token of a row but the first is predicted, also a document's
    first, from the document before it. Nothing is dropped: where one token would be left over by itself, the
    last row takes the one before it once more, to have something to predict from. Many rows are on the disk.

    Raises:
        DataError: there are no two tokens.

    """
    assert max_tokens >= 2, "a row of one token has nothing to predict"

    def rows() -> Iterator[TextRow]:
        before: array[int] = array("i")  # the token before the piece
        for piece in encode_stream(texts, tokenizer, max_tokens):
            if len(piece) > 1:
                yield TextRow(piece)
            elif before:
                yield TextRow(before + piece)
            before = piece[-1:]

    found = shelve(rows())
    if not found:
        raise DataError("the documents make fewer than 2 tokens; there is no text to learn from")
    return found


def demonstration_rows(rendered: Sequence[Rendered], opening: Sequence[int] = ()) -> Sequence[TextRow]:
    """Make a row of each demonstration: the response with its end token is predicted, the prompt is given.

    With `opening` (`Renderer.opening`) they are rows of an encoder-decoder, which reads the prompt aside.
    """

    def row(one: Rendered) -> TextRow:
        if opening:
            return TextRow([*opening, *one.response_ids], len(opening), one.prompt_ids)
        return TextRow(one.ids, max(len(one.prompt_ids), 1))

    return shelve(map(row, rendered))


def stack_rows(rows: Sequence[TextRow], pad_token_id: int, device: torch.device | str = "cpu") -> TextPart:
    """Pad rows to the longest; masks come from lengths, so `pad_token_id` may be any id."""
    ids, mask = pad_right([row.ids for row in rows], pad_token_id)
    given = torch.tensor([row.num_given for row in rows])
    predicted = mask & (torch.arange(ids.shape[1]) >= given[:, None])
    aside = None
    if any(row.aside for row in rows):
        aside_ids, aside_mask = pad_right([row.aside for row in rows], pad_token_id)
        aside = Aside(aside_ids.to(device), aside_mask.to(device))
    return TextPart(ids.to(device), mask.to(device), predicted.to(device), aside)


class PtxText:
    """Rows of text in an endless order that follows from the seed and the optimizer step's number alone.

    A checkpoint therefore holds nothing of it, and the rows of a step are the same for any number of
    processes: every process knows all of them and takes its share.

    Args:
        rows: all of them, on every process; each predicts something.
        coef: what the loss is multiplied by before it is added to the policy's.
        batch_size: rows of one optimizer step, over all processes.
        microbatch_size: rows in one forward pass of one process (at most its part of the batch).
        seed: the run's; the order has nothing in common with that of the prompts.
        pad_token_id: any id.
        process_index: the number of this process.
        num_processes: of how many.
        device: where microbatches are put.

    Raises:
        DataError: fewer rows than one batch (a row would come twice in it).
        SettingsError: the sizes do not divide.

    """

    def __init__(
        self,
        rows: Sequence[TextRow],
        *,
        coef: float,
        batch_size: int,
        microbatch_size: int,
        seed: int,
        pad_token_id: int,
        process_index: int = 0,
        num_processes: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        if len(rows) < batch_size:
            raise DataError(
                f"{len(rows):,} rows of text are fewer than one batch of {batch_size:,}; add text, or lower "
                "ptx.batch_size or ptx.max_tokens",
                where="ptx.batch_size",
            )
        assert all(row.num_given >= 1 and row.num_predicted >= 1 for row in rows)
        own_size = exact_div(batch_size, num_processes, "ptx.batch_size / number of processes")
        self.microbatch_size = min(microbatch_size, own_size)
        exact_div(own_size, self.microbatch_size, "ptx rows of a process / ppo.microbatch_size")
        self.rows = rows
        self.coef = coef
        self.batch_size = batch_size
        self.pad_token_id = pad_token_id
        self.device = device
        self._order = PromptOrder(len(rows), derive_seed(seed, "ptx"), batch_size)
        self._own = own_rows(batch_size, process_index, num_processes)

    def batch(self, step: int) -> PtxBatch:
        """Return the text of optimizer step `step`, counted from 0 at the start of training.

        Rows of similar length share a microbatch, so that little is padded.
        """
        chosen = [self.rows[i] for i in self._order.take(step * self.batch_size, self.batch_size)]
        own = sorted((chosen[place] for place in self._own), key=lambda row: row.num_read)
        parts = [own[at : at + self.microbatch_size] for at in range(0, len(own), self.microbatch_size)]
        return PtxBatch(
            tuple(stack_rows(part, self.pad_token_id, self.device) for part in parts),
            sum(row.num_predicted for row in chosen),
        )

    def losses(self, learner: nn.Module, step: int) -> Iterator[Tensor]:
        """Yield the loss of each microbatch of optimizer step `step`, with gradient; see `ptx_loss`."""
        batch = self.batch(step)
        for part in batch.microbatches:
            yield ptx_loss(policy_forward(learner), part, batch.num_tokens)


def policy_forward(learner: nn.Module) -> Forward:
    """Return the forward pass of a `Learner`'s policy, through whatever wraps it."""
    return lambda ids, mask, aside=None: learner(ids, mask, ids.shape[1] - 1, want="logits", aside=aside)[0]


def ptx_loss(forward: Forward, part: TextPart, num_tokens: int) -> Tensor:
    """Compute a microbatch's share of the mean negative log-likelihood of an optimizer step's text.

    The shares of all microbatches and processes add up to the mean over `num_tokens` predicted tokens, so
    the gradient does not depend on how the batch was cut. The temperature is 1: this is about text as it is
    written, not about sampling.

    Args:
        forward: through whatever wraps the policy for training.
        part: a microbatch of `PtxText.batch`.
        num_tokens: that batch's `num_tokens`.

    Returns:
        A scalar with gradient, nats.

    Source:
        Ouyang et al. 2022 (arXiv:2203.02155), second term of equation 2, negated and per token.

    """
    return -_sum_logprobs(forward, part) / num_tokens


@torch.no_grad()
def text_loss(
    forward: Forward,
    rows: Sequence[TextRow],
    *,
    batch_size: int,
    pad_token_id: int,
    device: torch.device | str = "cpu",
    reduce: Reduce | None = None,
) -> TextLoss:
    """Measure the mean negative log-likelihood of text without gradient, over all predicted tokens alike.

    Args:
        forward: processes may call it differently often: what waits for other processes has no place in it.
        rows: those of this process (`rlhf.ppo.batching.own_rows`); none is allowed where another has some.
        batch_size: rows of one forward pass.
        pad_token_id: any id.
        device: the model's.
        reduce: sums a tensor over all processes; called once by each. None: there is one process.

    """
    total, num_tokens = 0.0, 0
    lengths = array("i", (row.num_read for row in rows))
    by_length = sorted(range(len(rows)), key=lengths.__getitem__)
    for start in range(0, len(rows), batch_size):
        chosen = [rows[place] for place in by_length[start : start + batch_size]]
        part = stack_rows(chosen, pad_token_id, device)
        total -= float(_sum_logprobs(forward, part))
        num_tokens += int(part.predicted.sum())
    if reduce is not None:
        # float32 would round large counts; MPS knows no float64
        wide = torch.float32 if torch.device(device).type == "mps" else torch.float64
        sums: list[float] = reduce(torch.tensor([total, num_tokens], dtype=wide, device=device)).tolist()
        total, num_tokens = sums[0], round(sums[1])
    assert num_tokens, "no process was given a row"
    return TextLoss(total / num_tokens, num_tokens)


def _sum_logprobs(forward: Forward, part: TextPart) -> Tensor:
    """Add up the log-probabilities of a microbatch's predicted tokens."""
    logits = forward(part.ids, part.mask, *(() if part.aside is None else (part.aside,)))
    logprobs = token_logprobs(logits, part.ids[:, 1:])
    return masked_sum(logprobs, part.predicted[:, 1:])
