"""What a PPO run is made of, and the numbers it is run with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from rlhf.errors import ModelError, SettingsError
from rlhf.maths.controllers import AdaptiveKLController, FixedKLController, KLController
from rlhf.models.inputs import disable_dropout
from rlhf.models.saving import unwrap_model
from rlhf.models.values import Critic
from rlhf.ppo.batching import check_sizes

if TYPE_CHECKING:
    from accelerate import Accelerator

    from rlhf.rendering import Renderer
    from rlhf.scoring import Scorer


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The numbers of the algorithm, explained in `configs/ppo.yaml`; sizes as in `check_sizes`."""

    seed: int
    temperature: float
    max_response_tokens: int
    num_updates: int
    rollout_batch_size: int
    minibatch_size: int
    microbatch_size: int
    generation_batch_size: int | None = None
    ppo_epochs: int = 1
    learning_rate: float
    critic_learning_rate: float
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup_fraction: float = 0.0
    final_learning_rate_fraction: float = 0.0
    adam_epsilon: float = 1e-5
    weight_decay: float = 0.0
    max_grad_norm: float | None = 1.0
    kl_controller: Literal["fixed", "adaptive"] = "fixed"
    kl_coef: float = 0.05
    kl_target: float | None = None
    kl_horizon: int | None = None
    gamma: float = 1.0
    gae_lambda: float = 0.95
    whiten_advantages: bool = True
    clip_range: float = 0.2
    value_clip_range: float | None = None
    score_clip: float | None = None
    missing_eos_penalty: float = 0.0
    missing_eos_score: float | None = None
    num_samples: int = 2

    @property
    def num_optimizer_steps(self) -> int:
        """Return how many optimizer steps the whole run takes."""
        return self.num_updates * self.ppo_epochs * (self.rollout_batch_size // self.minibatch_size)


@dataclass(frozen=True)
class Parts:
    """The trained, the frozen, and what holds them together; models as accelerate prepared them."""

    accelerator: Accelerator
    policy: nn.Module
    reference: nn.Module
    critic: nn.Module
    policy_optimizer: Any
    critic_optimizer: Any
    scorer: Scorer
    renderer: Renderer
    kl_controller: KLController


def build_parts(
    accelerator: Accelerator,
    recipe: Recipe,
    *,
    policy: nn.Module,
    reference: nn.Module,
    critic: nn.Module,
    scorer: Scorer,
    renderer: Renderer,
    gradient_checkpointing: bool = False,
) -> Parts:
    """Make models ready to train: dropout off, reference frozen, optimizers, wrapped for all processes.

    Raises SettingsError where sizes do not divide, ModelError where an architecture cannot do what is asked.
    """
    check_sizes(
        recipe.rollout_batch_size, recipe.minibatch_size, recipe.microbatch_size, accelerator.num_processes
    )
    for model in (policy, reference, critic):
        disable_dropout(model)
        model.train()  # gradient checkpointing asks for it; without dropout it computes the same
    freeze(reference)
    if gradient_checkpointing:
        enable_gradient_checkpointing(policy)
        enable_gradient_checkpointing(critic)
    policy_optimizer = build_optimizer(policy, recipe.learning_rate, recipe)
    critic_optimizer = build_optimizer(critic, recipe.critic_learning_rate, recipe)
    policy, critic, policy_optimizer, critic_optimizer = accelerator.prepare(
        policy, critic, policy_optimizer, critic_optimizer
    )
    # the same precision as the policy's, or their KL would not be 0 at the start
    reference = accelerator.prepare_model(reference, evaluation_mode=True)
    return Parts(
        accelerator, policy, reference, critic, policy_optimizer, critic_optimizer, scorer, renderer,
        build_kl_controller(recipe),
    )  # fmt: skip


def freeze(model: nn.Module) -> None:
    """Take every parameter out of training, in place."""
    model.requires_grad_(False)


def enable_gradient_checkpointing(model: nn.Module) -> None:
    """Recompute activations in the backward pass; raise ModelError where the architecture cannot."""
    target: Any = model.model if isinstance(model, Critic) else model
    if not getattr(target, "supports_gradient_checkpointing", False):
        raise ModelError(f"{type(unwrap_model(model)).__name__} cannot do ppo.gradient_checkpointing")
    # older transformers know only the old name, newer ones warn about it
    enable = getattr(target, "activation_checkpointing_enable", None) or target.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    assert is_checkpointing(target)


def is_checkpointing(model: nn.Module) -> bool:
    """Return whether any layer recomputes its activations."""
    return any(getattr(module, "gradient_checkpointing", False) is True for module in model.modules())


def build_optimizer(model: nn.Module, learning_rate: float, recipe: Recipe) -> torch.optim.AdamW:
    """Build AdamW over the trained parameters; epsilon 1e-5 as OpenAI's code (Huang 2024, 2403.17031)."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(
        trained, lr=learning_rate, eps=recipe.adam_epsilon, weight_decay=recipe.weight_decay
    )


def build_kl_controller(recipe: Recipe) -> KLController:
    """Build the controller of the KL coefficient."""
    if recipe.kl_controller == "fixed":
        return FixedKLController(recipe.kl_coef)
    if recipe.kl_target is None or recipe.kl_horizon is None:
        raise SettingsError("ppo.kl_controller adaptive needs ppo.kl_target and ppo.kl_horizon")
    return AdaptiveKLController(recipe.kl_coef, recipe.kl_target, recipe.kl_horizon)
