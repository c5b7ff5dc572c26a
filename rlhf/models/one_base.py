"""Several models on one frozen base: its weights are in memory once.

Policy, reference, critic and reward models are modules of their own, as transformers and peft make them,
whose frozen tensors are the base's and no copies. What differs between them, adapters and score heads, is
small and each model's own. The other way, one peft model whose adapters take turns, is not taken: peft
changes `requires_grad` with every turn, a turn that an error cuts short stays, and a layer that gradient
checkpointing computes again in the backward pass meets whichever adapter is active then.

    base = load_one_base("runs/sft")
    learner = SeparateLearner(base.policy(LoraSpec(16, 32.0)), base.critic("runs/reward"))
    reference, judge = base.reference(), base.reward_model("runs/reward")

What moves the tensors of one moves those of all (`.to(device)`); what replaces them in one, such as an
offload to main memory, is not for these models.
"""

from __future__ import annotations

import copy
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from rlhf.errors import ModelError
from rlhf.models.adapter_folders import (
    adapter_base,
    adapter_revision,
    check_goes_on,
    holds_score_head,
    load_adapter,
)
from rlhf.models.adapters import LoraSpec, add_lora, is_adapter_folder
from rlhf.models.folders import check_model_path, says_nothing
from rlhf.models.heads import head_names, initialise_head, score_head
from rlhf.models.loading import load_policy
from rlhf.models.quantised import num_weights, quantise
from rlhf.models.quiet import quiet_library
from rlhf.models.seq2seq import Seq2SeqCritic, is_encoder_decoder, trunk_name, trunk_of
from rlhf.models.values import Critic, backbone

__all__ = [
    "OneBase",
    "is_reward_adapter_on",
    "load_one_base",
    "num_distinct_parameters",
    "place_of_base",
    "share",
]

Model = TypeVar("Model", bound=nn.Module)


class OneBase:
    """A frozen language model, and what it makes.

    Attributes:
        model: the base itself; nobody trains or runs it.
        path: where it came from.
        adapter: folder of the adapter that makes the SFT policy of it (SFT with lora.merge=false); None where
            the base is the SFT policy.
        revision: of the base on the hub; None is the newest, or a local folder.
        trust_remote_code: read the adapter's weights also where they are not safetensors.
        setting: the dotted key that errors name.
    """

    def __init__(
        self,
        model: Any,
        path: str,
        adapter: str | None = None,
        *,
        revision: str | None = None,
        trust_remote_code: bool = False,
        setting: str = "policy.path",
    ) -> None:
        self._trusts = trust_remote_code
        self.model = model.requires_grad_(False)
        self.path = path
        self.adapter = adapter
        self.revision = revision
        self._setting = setting

    def reference(self) -> Any:
        """Make the frozen SFT policy: the base, with a frozen copy of the SFT adapter where there is one.

        It is bitwise what `policy` gives before any training (invariant 64).
        """
        model = share(self.model)
        if self.adapter is None:
            return model
        return load_adapter(
            model, self.adapter, setting=self._setting, shared=True, trust_remote_code=self._trusts
        )

    def policy(self, spec: LoraSpec) -> Any:
        """Make the policy: the SFT policy with what is trained of it.

        On a base that is the SFT policy these are new adapters. Where SFT left an adapter, they start as
        copies of that one; `spec` is to be its.

        Raises:
            SettingsError: `spec` differs from the SFT adapter.

        """
        model = share(self.model)
        if self.adapter is None:
            return add_lora(model, spec, revision=self.revision)
        check_goes_on(self.adapter, spec, self._setting)
        return load_adapter(
            model,
            self.adapter,
            setting=self._setting,
            trainable=True,
            shared=True,
            trust_remote_code=self._trusts,
        )

    def new_critic(self, spec: LoraSpec) -> Critic | Seq2SeqCritic:
        """Make a critic that starts as the policy does, with a new head from torch's global generator."""
        if is_encoder_decoder(self.model.config):
            return Seq2SeqCritic(self._trunk(spec))
        model = self._classifier()
        initialise_head(model)
        if self.adapter is None:
            return Critic(add_lora(model, spec, keep_trainable=head_names(model)))
        adapted = load_adapter(
            model,
            self.adapter,
            setting=self._setting,
            trainable=True,
            fresh_head=True,
            shared=True,
            trust_remote_code=self._trusts,
        )
        return Critic(adapted)

    def _trunk(self, spec: LoraSpec) -> Any:
        """Make the policy's transformer without an output layer, adapters as the policy starts with them."""
        model = share(self.model)
        if self.adapter is None:
            return add_lora(trunk_of(model), spec)
        return load_adapter(
            trunk_of(model),
            self.adapter,
            setting=self._setting,
            trainable=True,
            trunk_name=trunk_name(model),
            shared=True,
            trust_remote_code=self._trusts,
        )

    def critic(self, path: str, *, setting: str = "critic.path", trust_remote_code: bool = False) -> Critic:
        """Make a critic that starts as a reward model does: adapter and head are copies of its own."""
        return Critic(self._load(path, setting, trust_remote_code, trainable=True))

    def reward_model(
        self, path: str, *, setting: str = "reward_model.path", trust_remote_code: bool = False
    ) -> Any:
        """Make a frozen reward model of an adapter folder that `holds` approves of; its head is float32."""
        return self._load(path, setting, trust_remote_code, trainable=False)

    def holds(self, path: str) -> bool:
        """Say whether a folder is a reward model that is an adapter on this base."""
        return is_reward_adapter_on(path, self.path, self.revision)

    def _load(self, path: str, setting: str, trust_remote_code: bool, *, trainable: bool) -> Any:
        if not self.holds(path):
            raise ModelError(f"{path!r} is no adapter of a reward model on {self.path!r}", where=setting)
        return load_adapter(
            self._classifier(),
            path,
            setting=setting,
            trainable=trainable,
            shared=True,
            trust_remote_code=trust_remote_code,
        )

    def _classifier(self) -> Any:
        """Put a score head of zeros, in float32, on the base's transformer.

        Raises:
            ModelError: the architecture has no such model, or one with more new weights than the head.

        """
        from transformers import AutoModelForSequenceClassification

        config = copy.deepcopy(self.model.config)
        config.num_labels = 1
        unfit = f"{type(self.model).__name__} cannot score on a shared base; set memory.one_base=false"
        try:
            with quiet_library(), torch.device("meta"):  # weights that are replaced below take no memory
                model: Any = AutoModelForSequenceClassification.from_config(config)
        except ValueError as error:
            raise ModelError(unfit, where=self._setting) from error
        config = model.config
        config.architectures, model.name_or_path = [type(model).__name__], self.model.name_or_path
        body = backbone(self.model)
        if type(backbone(model)) is not type(body):
            raise ModelError(unfit, where=self._setting)
        setattr(model, model.base_model_prefix, share(body))
        head: Any = score_head(model)
        head.to_empty(device=body.device).float()
        for parameter in head.parameters():
            nn.init.zeros_(parameter)
        if any(tensor.is_meta for tensor in chain(model.parameters(), model.buffers())):
            raise ModelError(unfit, where=self._setting)
        return model.eval()


def load_one_base(
    path: str,
    *,
    dtype: str = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
    quantize: bool = False,
    setting: str = "policy.path",
) -> OneBase:
    """Load the base of the SFT policy at `path`: that model itself, or the base of the adapter there.

    With `quantize` its weights are rounded to 4 bits (`rlhf.models.quantised`), for all that is made of it.

    Raises:
        SettingsError: bitsandbytes is missing or does not work here.
        ModelError: nothing there, or not a causal language model.

    """
    check_model_path(path, setting=setting)
    if holds_score_head(path):
        raise says_nothing(path, setting)
    base, base_revision = place_of_base(path, revision)
    adapter = path if is_adapter_folder(path) else None
    named_in = setting if adapter is None else f"{path}/adapter_config.json: base_model_name_or_path"

    def load() -> Any:
        return load_policy(
            base, dtype=dtype, revision=base_revision, trust_remote_code=trust_remote_code, setting=named_in
        )

    return OneBase(
        quantise(load(), reload=load) if quantize else load(),
        base,
        adapter,
        revision=base_revision,
        trust_remote_code=trust_remote_code,
        setting=setting,
    )


def place_of_base(path: str, revision: str | None) -> tuple[str, str | None]:
    """Return path and revision of the base of the SFT policy at `path`."""
    return (adapter_base(path), adapter_revision(path)) if is_adapter_folder(path) else (path, revision)


def is_reward_adapter_on(path: str, base: str, revision: str | None) -> bool:
    """Say whether a folder is a reward model that is an adapter on the model at `base`."""
    if not holds_score_head(path):
        return False
    return (_place(adapter_base(path)), adapter_revision(path)) == (_place(base), revision)


def share(model: Model) -> Model:
    """Return a model of the same make whose parameters and buffers are the given one's, not copies.

    Modules, hooks and config are new, so that what is added to one (adapters) is not in the other.
    """
    same: dict[int, Any] = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    return copy.deepcopy(model, same)


def num_distinct_parameters(*models: nn.Module) -> int:
    """Count parameters, those that several models use once."""
    found = {id(parameter): parameter for model in models for parameter in model.parameters()}
    return sum(map(num_weights, found.values()))


def _place(path: str) -> str:
    """Return one spelling of a folder, however it was written; a hub id stays as it is."""
    folder = Path(path).expanduser()
    return str(folder.resolve()) if folder.is_dir() else path
