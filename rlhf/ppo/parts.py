"""What a PPO run is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rlhf.errors import ModelError, SettingsError
from rlhf.maths.controllers import AdaptiveKLController, FixedKLController, KLController
from rlhf.maths.moments import RunningMoments
from rlhf.models.inputs import disable_dropout
from rlhf.models.learner import Learner
from rlhf.models.saving import unwrap_model
from rlhf.ppo.batching import check_sizes
from rlhf.ppo.diagnostics import Watch
from rlhf.ppo.recipe import Recipe
from rlhf.ppo.update import PtxSource
from rlhf.scoring import models_of

if TYPE_CHECKING:
    from accelerate import Accelerator

    from rlhf.rendering import Renderer
    from rlhf.scoring import Scorer


@dataclass(frozen=True)
class Parts:
    """The trained, the frozen, and what holds them together; models as accelerate prepared them."""

    accelerator: Accelerator
    learner: nn.Module
    reference: nn.Module
    policy_optimizer: Any
    critic_optimizer: Any | None
    scorer: Scorer
    renderer: Renderer
    kl_controller: KLController
    moments: RunningMoments | None = None  # of the scores, where they are normalised
    evaluation_moments: RunningMoments | None = None  # those that evaluations are normalised by: they stay
    average: dict[str, Tensor] | None = None  # of the policy's weights (EMA)
    ptx: PtxSource | None = None
    offload: bool = False  # reference and reward models leave the device between their uses
    watch: Watch = field(default_factory=Watch)  # says what is wrong with the numbers

    @property
    def policy(self) -> Any:
        """Return the language model that is trained, without wrappers."""
        return unwrap_model(self.learner).policy

    @property
    def has_critic(self) -> bool:
        """Say whether anything values tokens."""
        return bool(unwrap_model(self.learner).has_critic)

    def add_up(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes; called on every process."""
        total: Tensor = self.accelerator.reduce(tensor, "sum")
        return total

    @contextmanager
    def at_hand(self, *models: nn.Module) -> Iterator[None]:
        """Have frozen models on the device while inside; with `offload` they are in main memory otherwise."""
        if not self.offload:
            yield
            return
        for model in models:
            model.to(self.accelerator.device)
        try:
            yield
        finally:
            for model in models:
                model.to("cpu")


def build_parts(
    accelerator: Accelerator,
    recipe: Recipe,
    *,
    learner: Learner,
    reference: nn.Module,
    scorer: Scorer,
    renderer: Renderer,
    ptx: PtxSource | None = None,
    gradient_checkpointing: bool = False,
    offload: bool = False,
    reference_is_policy: bool = True,
) -> Parts:
    """Make models ready to train: dropout off, reference frozen, optimizers, wrapped for all processes.

    `reference_is_policy` says whether the reference is the policy as it starts, which makes a KL that does
    not begin at 0 worth a warning.

    Raises SettingsError where sizes do not divide, ModelError where an architecture cannot do what is asked.
    """
    check_sizes(
        recipe.rollout_batch_size, recipe.minibatch_size, recipe.microbatch_size, accelerator.num_processes
    )
    for model in (learner, reference):
        disable_dropout(model)
        model.train()  # gradient checkpointing asks for it; without dropout it computes the same
    freeze_all_but(reference, learner)
    if gradient_checkpointing:
        for transformer in learner.transformers():
            enable_gradient_checkpointing(transformer)
    average = None if recipe.ema_decay is None else start_average(learner.policy_weights())
    policy_optimizer = build_optimizer(learner.policy_parameters(), recipe.learning_rate, recipe)
    critic_optimizer = None
    if learner.has_critic:
        critic_optimizer = build_optimizer(learner.critic_parameters(), recipe.critic_learning_rate, recipe)
    learner.autocast = accelerator.autocast
    if critic_optimizer is None:
        prepared, policy_optimizer = accelerator.prepare(learner, policy_optimizer)
    else:
        prepared, policy_optimizer, critic_optimizer = accelerator.prepare(
            learner, policy_optimizer, critic_optimizer
        )
    # the same precision as the policy's, or their KL would not be 0 at the start
    reference = accelerator.prepare_model(reference, evaluation_mode=True)
    if average is not None:
        average = {name: value.to(accelerator.device) for name, value in average.items()}
    moments = None if recipe.score_normalisation == "none" else RunningMoments()
    parts = Parts(
        accelerator, prepared, reference, policy_optimizer, critic_optimizer, scorer, renderer,
        build_kl_controller(recipe),
        moments=moments,
        evaluation_moments=RunningMoments() if recipe.score_normalisation == "running" else moments,
        average=average, ptx=ptx, offload=offload,
        watch=Watch(reference_is_policy=reference_is_policy),
    )  # fmt: skip
    with parts.at_hand(reference, *models_of(scorer)):
        pass  # from now on they are where they are between uses
    return parts


def start_average(weights: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return the running average at the start: a float32 copy of the policy's trained weights."""
    return {name: weight.detach().float().clone() for name, weight in weights.items()}


def freeze_all_but(model: nn.Module, learner: nn.Module) -> None:
    """Take every parameter of `model` out of training, in place, except those that `learner` trains too."""
    trained = {id(parameter) for parameter in learner.parameters() if parameter.requires_grad}
    for parameter in model.parameters():
        if id(parameter) not in trained:
            parameter.requires_grad_(False)


def freeze(model: nn.Module) -> None:
    """Take every parameter out of training, in place."""
    model.requires_grad_(False)


def enable_gradient_checkpointing(model: nn.Module) -> None:
    """Recompute activations in the backward pass; raise ModelError where the architecture cannot."""
    target: Any = model
    if not getattr(target, "supports_gradient_checkpointing", False):
        raise ModelError(f"{type(unwrap_model(model)).__name__} cannot do ppo.gradient_checkpointing")
    # older transformers know only the old name, newer ones warn about it
    enable = getattr(target, "activation_checkpointing_enable", None) or target.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    assert is_checkpointing(target)


def is_checkpointing(model: nn.Module) -> bool:
    """Return whether any layer recomputes its activations."""
    return any(getattr(module, "gradient_checkpointing", False) is True for module in model.modules())


def build_optimizer(
    trained: Sequence[nn.Parameter], learning_rate: float, recipe: Recipe
) -> torch.optim.AdamW:
    """Build AdamW over the trained parameters; epsilon 1e-5 as OpenAI's code (Huang 2024, 2403.17031)."""
    return torch.optim.AdamW(
        trained,
        lr=learning_rate,
        betas=(0.9, recipe.adam_beta2),
        eps=recipe.adam_epsilon,
        weight_decay=recipe.weight_decay,
    )


def build_kl_controller(recipe: Recipe) -> KLController:
    """Build the controller of the KL coefficient."""
    if recipe.kl_controller == "fixed":
        return FixedKLController(recipe.kl_coef)
    if recipe.kl_target is None or recipe.kl_horizon is None:
        raise SettingsError("ppo.kl_controller adaptive needs ppo.kl_target and ppo.kl_horizon")
    return AdaptiveKLController(recipe.kl_coef, recipe.kl_target, recipe.kl_horizon)
