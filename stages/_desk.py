"""The desk where the report's answers are made: sampled, scored, compared and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stages import _inputs
from stages._limits import limits_of
from stages._reading import build_reader

if TYPE_CHECKING:
    from rlhf.evaluation.report.answers import Answer
    from rlhf.feedback.records import Prompt
    from rlhf.rendering import Renderer
    from rlhf.settings.report import ReportSettings
    from rlhf.settings.shared import ModelSettings

__all__ = ["Desk"]


class Desk:
    """One model at a time, the SFT model kept for the KL, one scorer, one judge."""

    def __init__(
        self,
        settings: ReportSettings,
        policies: Mapping[str, ModelSettings],
        judge: Callable[..., Any] | None,
        device: Any,
    ) -> None:
        self.settings = settings
        self.policies = policies
        self.judge = judge
        self.device = device
        self.notes: list[str] = []
        self._loaded: dict[str, tuple[Any, Renderer]] = {}
        self._reward = self._load_reward() if settings.stages.reward is not None else None

    def answer(
        self, policy: str, prompts: Sequence[Prompt], rows: Sequence[int], temperature: float
    ) -> list[Answer]:
        """Let a model answer; score, judge and compare with SFT what it says."""
        from rlhf.evaluation.report.answers import answer_prompts, judge_answers, response_kl, score_answers
        from rlhf.sampling import derive_seed

        if not prompts:  # more processes than prompts
            return []
        told = self.settings.evaluation
        model, renderer = self._load(policy)
        answers, generation = answer_prompts(
            model,
            renderer,
            prompts,
            rows,
            temperature=temperature,
            max_response_tokens=told.max_response_tokens,
            seed=derive_seed(self.settings.run.seed, "report"),
            batch_size=told.batch_size,
        )
        if self._reward is not None:
            answers = score_answers(answers, prompts, generation, self._scorer(renderer))
        if policy == "ppo" and temperature > 0 and "sft" in self.policies and self._same_words():
            sft, _ = self._load("sft")
            kl = response_kl(model, sft, generation, temperature, told.microbatch_size)
            answers = [replace(answer, kl=value) for answer, value in zip(answers, kl, strict=True)]
        if self.judge is not None:
            answers = judge_answers(answers, prompts, self.judge, str(told.judge))
        return answers

    def _load(self, policy: str) -> tuple[Any, Renderer]:
        if policy not in self._loaded:
            told = self.policies[policy]
            setting = "base.path" if policy == "base" else f"stages.{policy}"
            tokenizer = _inputs.open_tokenizer(told, setting)
            model = _inputs.open_policy(told, setting)
            limits = limits_of(self.settings.evaluation, "evaluation")
            renderer = _inputs.build_renderer(tokenizer, model, limits, setting)
            self._loaded = {name: kept for name, kept in self._loaded.items() if name == "sft"}
            self._loaded[policy] = (model.eval().to(self.device), renderer)
        return self._loaded[policy]

    def _same_words(self) -> bool:
        """Whether PPO and SFT share a vocabulary, without which a KL means nothing."""
        from rlhf.shared_ids import same_rendering

        one, other = self._load("sft")[1], self._load("ppo")[1]
        same = one.opening == other.opening and same_rendering(one.tokenizer, other.tokenizer)
        note = "PPO and SFT have different tokenizers or chat templates: no KL between them"
        if not same and note not in self.notes:
            self.notes.append(note)
        return same

    def _load_reward(self) -> tuple[Any, Any]:
        from rlhf.models import disable_dropout, load_reward_model, load_tokenizer
        from rlhf.models.encoders import note_separator, reads_pairs

        path = str(self.settings.stages.reward)
        model = load_reward_model(path, setting="stages.reward")
        disable_dropout(model)
        pairs = reads_pairs(model.config)
        tokenizer = load_tokenizer(path, setting="stages.reward", pairs=pairs)
        if pairs:
            note_separator(model, tokenizer)
        return model.eval().to(self.device), tokenizer

    def _scorer(self, policy: Renderer) -> Any:
        from rlhf.models.encoders import reads_pairs
        from rlhf.scoring import RewardModelScorer
        from rlhf.shared_ids import reads_ids

        assert self._reward is not None
        model, tokenizer = self._reward
        num_embeddings = model.get_input_embeddings().num_embeddings
        by_ids = not reads_pairs(model.config) and reads_ids(policy, tokenizer, num_embeddings)
        limits = self.settings.evaluation
        renderer = None if by_ids else build_reader(model, tokenizer, limits.max_response_tokens)
        path = str(self.settings.stages.reward)
        return RewardModelScorer(path, model, renderer, self.settings.evaluation.microbatch_size)
