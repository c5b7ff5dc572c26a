"""What PPO trains, as one module: the policy and what values its tokens.

One module means one wrapper and one forward pass a microbatch, so that gradients of both are synchronised
over processes in the same backward pass, whatever they share:

- `SeparateLearner`: policy and critic are two models (InstructGPT), which may have one frozen base
  (`rlhf.models.one_base`), or there is no critic (RLOO, GRPO)
- `TrunkLearner`: the critic is a linear head on the policy's last hidden state
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rlhf.models.inputs import accepts_logits_to_keep, forward_inputs, inputs_of
from rlhf.models.seq2seq import Aside, Seq2SeqCritic, seq2seq_inputs
from rlhf.models.values import Critic

__all__ = ["Learner", "SeparateLearner", "TrunkLearner", "last_logits", "values_before"]

Want = Literal["logits", "values", "both"]


class Learner(nn.Module):
    """A policy with or without a critic.

    Attributes:
        policy: the language model, for sampling and saving; its forward is the policy's.
        has_critic: whether values can be asked for.
        autocast: the precision of forward passes that do not go through the wrapper (sampling); accelerate's
            once it is prepared.
    """

    policy: Any
    has_critic: bool

    def __init__(self) -> None:
        super().__init__()
        self.autocast: Callable[[], AbstractContextManager[Any]] = nullcontext

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        num_last: int,
        want: Want = "both",
        aside: Aside | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Look at the last tokens of each row: what predicts them, and what the critic expects before them.

        Args:
            input_ids: (B, T), at least one token before the last `num_last`; left-padded, or right-padded
                where these are the rows of an encoder-decoder's decoder.
            attention_mask: (B, T), True counts.
            num_last: n, how many tokens at the end of each row.
            want: what is computed; the other is None.
            aside: what an encoder-decoder's encoder reads; None for a decoder.

        Returns:
            logits (B, n, V) that predict the last n tokens, and values (B, n) float32 before each of them;
            values are None without a critic.

        """
        raise NotImplementedError

    def critic_parameters(self) -> list[nn.Parameter]:
        """Return the trained parameters that are the critic's alone."""
        raise NotImplementedError

    def policy_weights(self) -> dict[str, nn.Parameter]:
        """Return the trained parameters of the policy by their names in it, each tied one once."""
        own = {id(parameter) for parameter in self.critic_parameters()}
        return {
            name: parameter
            for name, parameter in self.policy.named_parameters()
            if parameter.requires_grad and id(parameter) not in own
        }

    def policy_parameters(self) -> list[nn.Parameter]:
        """Return the trained parameters of the policy."""
        return list(self.policy_weights().values())

    def transformers(self) -> tuple[Any, ...]:
        """Return the transformers that are run, for what is switched on in each (gradient checkpointing)."""
        return (self.policy,)


class SeparateLearner(Learner):
    """Policy and critic with weights of their own, or a policy alone."""

    def __init__(self, policy: Any, critic: Critic | Seq2SeqCritic | None) -> None:
        super().__init__()
        self.policy = policy
        self.critic = critic
        self.has_critic = critic is not None

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        num_last: int,
        want: Want = "both",
        aside: Aside | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """See `Learner.forward`."""
        logits = values = None
        if want != "values":
            logits = last_logits(self.policy, input_ids, attention_mask, num_last, aside)
        if want != "logits" and self.critic is not None:
            values = values_before(self.critic, input_ids, attention_mask, num_last, aside)
        return logits, values

    def critic_parameters(self) -> list[nn.Parameter]:
        """Return all that is trained of the critic."""
        return [] if self.critic is None else [p for p in self.critic.parameters() if p.requires_grad]

    def transformers(self) -> tuple[Any, ...]:
        """Return the policy's and the critic's."""
        return (self.policy,) if self.critic is None else (self.policy, self.critic.model)


class TrunkLearner(Learner):
    """A value head on the policy's trunk: no second transformer, but both losses pull at the same weights.

    The head reads what the output layer reads, the last hidden state, in float32, and starts at zero: every
    value is 0 until it has learnt (invariant 67).
    """

    has_critic = True

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy
        width = policy.get_output_embeddings().weight.shape[1]
        self.value_head = nn.Linear(width, 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        num_last: int,
        want: Want = "both",
        aside: Aside | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """See `Learner.forward`; the trunk is run once, whatever is wanted."""
        with inputs_of(self.policy.get_output_embeddings()) as seen:
            logits = last_logits(self.policy, input_ids, attention_mask, num_last, aside)
        if want == "logits":
            return logits, None
        hidden = seen[0][:, -num_last - 1 : -1]
        with torch.autocast(hidden.device.type, enabled=False):
            values = self.value_head(hidden.float()).squeeze(-1)
        return (logits if want == "both" else None), values

    def critic_parameters(self) -> list[nn.Parameter]:
        """Return the head's."""
        return list(self.value_head.parameters())


def last_logits(
    model: Any, input_ids: Tensor, attention_mask: Tensor, num_last: int, aside: Aside | None = None
) -> Tensor:
    """Return the logits (B, n, V) that predict the last n tokens of each row, in one forward pass.

    The vocabulary is projected on these positions only where the architecture knows `logits_to_keep`.
    """
    if aside is None:
        inputs = forward_inputs(model, input_ids, attention_mask)
    else:
        inputs = seq2seq_inputs(input_ids, attention_mask, aside)
    arguments: dict[str, Any] = {**inputs, "use_cache": False}
    if accepts_logits_to_keep(model):
        arguments["logits_to_keep"] = num_last + 1
    logits: Tensor = model(**arguments).logits
    # the logits at a position predict the next token
    return logits[:, -num_last - 1 : -1]


def values_before(
    critic: Any, input_ids: Tensor, attention_mask: Tensor, num_last: int, aside: Aside | None = None
) -> Tensor:
    """Return a critic's values (B, n) float32 before each of the last n tokens of each row."""
    beside = () if aside is None else (aside,)
    values: Tensor = critic(input_ids, attention_mask, *beside)
    return values[:, -num_last - 1 : -1]
