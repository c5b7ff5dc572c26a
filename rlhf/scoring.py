"""Give each response one number: from reward models, ensembles, Python functions, or a weighted sum."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor, nn

from rlhf.errors import RunError
from rlhf.functions import call_with_columns, is_finite_number
from rlhf.maths.rewards import combine_scores
from rlhf.models.inputs import context_tokens
from rlhf.models.values import sequence_scores
from rlhf.rendering import pad_right
from rlhf.rollout import Generation, device_of

if TYPE_CHECKING:
    from rlhf.feedback.records import Prompt
    from rlhf.rendering import Renderer


@dataclass(frozen=True)
class Scores:
    """What a scorer says of B responses of up to R tokens; float32 on the CPU.

    responses (B,): one number a response; tokens (B, R): further numbers on single tokens, 0 past each
    response; parts: (B,) each, by name, to look at: what the sources gave before they were weighted.
    """

    responses: Tensor
    tokens: Tensor
    parts: Mapping[str, Tensor]


class Scorer(Protocol):
    """Anything that gives a batch of responses one number each."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    def __call__(
        self, prompts: Sequence[Prompt], generation: Generation, texts: Sequence[str]
    ) -> Tensor | Scores:
        """Return `Scores`, or (B,) float32, or (B, R) where it scores each token.

        `texts` are the decoded responses of `generation`.
        """
        ...


def as_scores(given: Tensor | Scores, generation: Generation) -> Scores:
    """Bring what a scorer returned into one form."""
    if isinstance(given, Scores):
        return given
    shape = generation.response_ids.shape
    if given.dim() == 2:
        kept = given.masked_fill(~generation.response_mask.cpu(), 0.0)
        return Scores(torch.zeros(shape[0]), kept, {})
    return Scores(given, torch.zeros(shape), {})


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
    advice: str = "lower sampling.max_prompt_tokens or sampling.max_response_tokens"  # where too long

    def __call__(self, prompts: Sequence[Prompt], generation: Generation, texts: Sequence[str]) -> Tensor:
        """Return scores (B,) float32."""
        if self.renderer is None:
            assert not generation.opening, "an encoder-decoder's ids are no row that others read: give text"
            pairs = zip(generation.prompts(), generation.responses(), strict=True)
            sequences = [prompt + response for prompt, response in pairs]
            self._check_ids(sequences)
        else:
            ended = generation.ended.tolist()
            sequences = [
                self.renderer.render_scored(prompt.messages, text, ended=end)
                for prompt, text, end in zip(prompts, texts, ended, strict=True)
            ]
        self._check_lengths(sequences)
        scores = score_sequences(self.model, sequences, self.batch_size)
        self._check_finite(prompts, scores)
        return scores

    def _check_finite(self, prompts: Sequence[Prompt], scores: Tensor) -> None:
        bad = [place for place, score in enumerate(scores.tolist()) if not math.isfinite(score)]
        if bad:
            raise RunError(
                f"{self.name}: the reward model scores {scores[bad[0]]} on the response to prompt "
                f"{prompts[bad[0]].id!r} ({len(bad)} of {len(prompts)} are not finite): its weights or its "
                "precision (dtype, ppo.mixed_precision) overflow"
            )

    def _check_ids(self, sequences: Sequence[Sequence[int]]) -> None:
        """Find ids that only the policy has an embedding for: it may sample one that no token has."""
        num_embeddings = self.model.get_input_embeddings().num_embeddings  # type: ignore[operator]
        highest = max(max(sequence) for sequence in sequences)
        if highest >= num_embeddings:
            raise RunError(
                f"reward model '{self.name}' has embeddings for {num_embeddings:,} tokens, but the policy "
                f"sampled the id {highest:,}; give both embeddings of the same size"
            )

    def _check_lengths(self, sequences: Sequence[Sequence[int]]) -> None:
        limit = context_tokens(self.model)
        longest = max(len(sequence) for sequence in sequences)
        if limit is not None and longest > limit:
            raise RunError(
                f"reward model '{self.name}' reads at most {limit} tokens, but prompt and response "
                f"have {longest}; {self.advice}"
            )


@dataclass(frozen=True)
class FunctionScorer:
    """Score by a Python function `f(prompts, responses, **columns) -> list[float]`.

    It is given each prompt's messages (a list of role/content dictionaries), each response's text, and the
    prompts' other columns as lists, row by row. With `token_texts` (ids of a response -> the text of each
    token) the function scores tokens: it also gets the column `tokens`, a list of texts a response, and gives
    a list of numbers for each.
    """

    name: str
    function: Callable[..., Any]
    token_texts: Callable[[Sequence[int]], list[str]] | None = None

    def __call__(self, prompts: Sequence[Prompt], generation: Generation, texts: Sequence[str]) -> Tensor:
        """Return (B,), or (B, R) where tokens are scored; float32.

        Raises RunError for a failure, a wrong count or a non-finite value.
        """
        if self.token_texts is None:
            values = call_with_columns(self.function, prompts, texts, self.name)
            for prompt, value in zip(prompts, values, strict=True):
                self._check(value, prompt, "a score is a finite number")
            return torch.tensor([float(value) for value in values])
        return self._score_tokens(prompts, generation, texts, self.token_texts)

    def _score_tokens(
        self,
        prompts: Sequence[Prompt],
        generation: Generation,
        texts: Sequence[str],
        token_texts: Callable[[Sequence[int]], list[str]],
    ) -> Tensor:
        tokens = [token_texts(ids) for ids in generation.responses()]
        values = call_with_columns(self.function, prompts, texts, self.name, tokens=tokens)
        scores = torch.zeros(generation.response_ids.shape)
        for row, (prompt, found, pieces) in enumerate(zip(prompts, values, tokens, strict=True)):
            found = found.tolist() if hasattr(found, "tolist") else found
            if not isinstance(found, Sequence) or isinstance(found, str) or len(found) != len(pieces):
                raise RunError(
                    f"{self.name} gave {found!r} for prompt '{prompt.id}'; "
                    f"with per_token it gives a list with one number for each of the {len(pieces)} tokens"
                )
            for value in found:
                self._check(value, prompt, "a token's score is a finite number")
            scores[row, : len(found)] = torch.tensor([float(value) for value in found])
        return scores

    def _check(self, value: Any, prompt: Prompt, rule: str) -> None:
        if not is_finite_number(value):
            raise RunError(f"{self.name} gave {value!r} for prompt '{prompt.id}'; {rule}")


@dataclass(frozen=True)
class EnsembleScorer:
    """Several scorers of the same thing as one: their mean, their worst, or their mean less their deviation.

    Over-optimisation thrives on the mistakes of one reward model; several seldom make the same (Coste et al.
    2023, arXiv:2310.02743). `how` and `std_coef`: see `rlhf.maths.rewards.combine_scores`.
    """

    name: str
    members: tuple[Scorer, ...]
    how: Literal["mean", "min", "mean_minus_std"] = "mean"
    std_coef: float = 1.0

    def __call__(self, prompts: Sequence[Prompt], generation: Generation, texts: Sequence[str]) -> Scores:
        """Return scores (B,) with the members' standard deviation as part `disagreement`."""
        given = [as_scores(member(prompts, generation, texts), generation) for member in self.members]
        stacked = torch.stack([scores.responses for scores in given])
        combined = combine_scores(stacked, self.how, self.std_coef)
        tokens = torch.zeros(generation.response_ids.shape)
        return Scores(combined, tokens, {"disagreement": stacked.std(0, correction=0)})


@dataclass(frozen=True)
class WeightedScorer:
    """The weighted sum of several scorers."""

    parts: tuple[tuple[Scorer, float], ...]
    name: str = "scores"

    def __call__(self, prompts: Sequence[Prompt], generation: Generation, texts: Sequence[str]) -> Scores:
        """Return the sum, for responses and for tokens; where there are several, each source as a part."""
        responses = torch.zeros(len(prompts))
        tokens = torch.zeros(generation.response_ids.shape)
        parts: dict[str, Tensor] = {}
        for place, (scorer, weight) in enumerate(self.parts):
            given = as_scores(scorer(prompts, generation, texts), generation)
            responses = responses + weight * given.responses
            tokens = tokens + weight * given.tokens
            if len(self.parts) > 1:
                parts[f"scores[{place}]"] = given.responses + given.tokens.sum(1)
            parts.update({f"scores[{place}].{name}": value for name, value in given.parts.items()})
        return Scores(responses, tokens, parts)


def models_of(scorer: Scorer) -> list[nn.Module]:
    """Return the models that a scorer holds, also inside sums and ensembles."""
    if isinstance(scorer, RewardModelScorer):
        return [scorer.model]
    if isinstance(scorer, EnsembleScorer):
        return [model for member in scorer.members for model in models_of(member)]
    if isinstance(scorer, WeightedScorer):
        return [model for part, _ in scorer.parts for model in models_of(part)]
    return []


def readers_of(scorer: Scorer) -> list[tuple[str, Renderer]]:
    """Return name and renderer of each reward model that is given text, also inside sums and ensembles."""
    if isinstance(scorer, RewardModelScorer):
        return [] if scorer.renderer is None else [(scorer.name, scorer.renderer)]
    if isinstance(scorer, EnsembleScorer):
        return [reader for member in scorer.members for reader in readers_of(member)]
    if isinstance(scorer, WeightedScorer):
        return [reader for part, _ in scorer.parts for reader in readers_of(part)]
    return []


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
