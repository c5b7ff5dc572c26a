"""Give each response one number: from reward models, Python functions, or a weighted sum of both."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from rlhf.errors import RunError
from rlhf.functions import call_with_columns, is_finite_number
from rlhf.models.values import sequence_scores
from rlhf.rendering import pad_right
from rlhf.rollout import Generation, device_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rlhf.feedback.records import Prompt
    from rlhf.rendering import Renderer


class Scorer(Protocol):
    """Anything that gives a batch of responses one number each."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    def __call__(self, prompts: Sequence[Prompt], generation: Generation, texts: Sequence[str]) -> Tensor:
        """Return scores (B,) float32 on the CPU; `texts` are the decoded responses of `generation`."""
        ...


@dataclass(frozen=True)
class RewardModelScorer:
    """Score by a frozen sequence-classification model, read at the last real token.

    With `renderer` None the model shares the policy's tokenizer and template and is given the sampled ids bit
    for bit. Otherwise text goes across: prompt and response are rendered by the reward model's own
    `renderer`, and a response that was cut at the length limit gets no end token there either.
    """

    name: str
    model: nn.Module
    renderer: Renderer | None
    batch_size: int

    def __call__(self, prompts: Sequence[Prompt], generation: Generation, texts: Sequence[str]) -> Tensor:
        """Return scores (B,) float32."""
        if self.renderer is None:
            pairs = zip(generation.prompts(), generation.responses(), strict=True)
            sequences = [prompt + response for prompt, response in pairs]
        else:
            ended = generation.ended.tolist()
            sequences = [
                self._render(self.renderer, prompt, text, end)
                for prompt, text, end in zip(prompts, texts, ended, strict=True)
            ]
        self._check_lengths(sequences)
        return score_sequences(self.model, sequences, self.batch_size)

    def _check_lengths(self, sequences: Sequence[Sequence[int]]) -> None:
        limit = getattr(self.model.config, "max_position_embeddings", None)
        longest = max(len(sequence) for sequence in sequences)
        if limit is not None and longest > limit:
            raise RunError(
                f"reward model '{self.name}' reads at most {limit} tokens, but prompt and response "
                f"have {longest}; lower sampling.max_prompt_tokens or sampling.max_response_tokens"
            )

    @staticmethod
    def _render(renderer: Renderer, prompt: Prompt, text: str, ended: bool) -> list[int]:
        response = renderer.render_response(text)
        if not ended and response and response[-1] in renderer.stop_token_ids:
            response = response[:-1]
        return renderer.render_prompt(prompt.messages) + response


@dataclass(frozen=True)
class FunctionScorer:
    """Score by a Python function `f(prompts, responses, **columns) -> list[float]`.

    It is given each prompt's messages (a list of role/content dictionaries), each response's text, and the
    prompts' other columns as lists, row by row.
    """

    name: str
    function: Callable[..., Any]

    def __call__(self, prompts: Sequence[Prompt], generation: Generation, texts: Sequence[str]) -> Tensor:
        """Return scores (B,) float32. Raises RunError for a failure, a wrong count or a non-finite value."""
        values = call_with_columns(self.function, prompts, texts, self.name)
        for prompt, value in zip(prompts, values, strict=True):
            if not is_finite_number(value):
                raise RunError(
                    f"{self.name} gave {value!r} for prompt '{prompt.id}'; a score is a finite number"
                )
        return torch.tensor([float(value) for value in values])


@dataclass(frozen=True)
class WeightedScorer:
    """The weighted sum of several scorers."""

    parts: tuple[tuple[Scorer, float], ...]
    name: str = "scores"

    def __call__(self, prompts: Sequence[Prompt], generation: Generation, texts: Sequence[str]) -> Tensor:
        """Return scores (B,) float32."""
        total = torch.zeros(len(prompts))
        for scorer, weight in self.parts:
            total = total + weight * scorer(prompts, generation, texts)
        return total


def score_sequences(model: nn.Module, sequences: Sequence[Sequence[int]], batch_size: int) -> Tensor:
    """Return the reward model's score (B,), float32 on the CPU, of each list of ids."""
    by_length = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    pad_token_id = (
        getattr(model.config, "pad_token_id", None) or 0
    )  # never looked at: masks come from lengths
    scores = torch.zeros(len(sequences))
    with torch.inference_mode():
        for start in range(0, len(sequences), batch_size):
            index = by_length[start : start + batch_size]
            ids, mask = pad_right([list(sequences[i]) for i in index], pad_token_id)
            part = sequence_scores(model, ids.to(device_of(model)), mask.to(device_of(model)))
            scores[index] = part.float().cpu()
    return scores


def same_rendering(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    """Return whether `other` makes the ids of `one` out of every conversation, so that ids may go across.

    A pad token that only `other` has is no difference: reward models are given one of their own, and nobody
    writes it.
    """
    extra = {other.pad_token} if other.pad_token not in one.get_vocab() else set()
    vocabulary = {token: index for token, index in other.get_vocab().items() if token not in extra}
    if one.get_vocab() != vocabulary or one.chat_template != other.chat_template:
        return False
    backends = [getattr(tokenizer, "backend_tokenizer", None) for tokenizer in (one, other)]
    if any(backend is None for backend in backends):
        return type(one) is type(other)
    return _encoding_rules(backends[0], extra) == _encoding_rules(backends[1], extra)


def _encoding_rules(backend: Any, without: set[Any]) -> dict[str, Any]:
    rules: dict[str, Any] = json.loads(backend.to_str())
    rules["added_tokens"] = [token for token in rules["added_tokens"] if token["content"] not in without]
    return {key: value for key, value in rules.items() if key not in ("padding", "truncation")}
