"""PPO with memory.one_base: every model of the stage is an adapter on one frozen base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlhf.errors import ModelError
from rlhf.runs import console
from rlhf.settings.ppo import PpoSettings
from stages import _inputs
from stages._ppo_seq2seq import check_seq2seq

if TYPE_CHECKING:
    from rlhf.models.learner import Learner
    from rlhf.models.one_base import OneBase
    from rlhf.scoring import Scorer
    from rlhf.settings.ppo_models import ScoreSettings


def check_adapters(settings: PpoSettings) -> None:
    """Look at the folders before anything is loaded: can policy and critic be what the settings ask for?

    Raises:
        SettingsError: the policy goes on from an adapter of other sizes, or could not be saved as one.
        ModelError: a folder is missing, or the critic's start is no adapter on the base.

    """
    from rlhf.models.adapter_folders import check_goes_on, holds_score_head
    from rlhf.models.adapters import is_adapter_folder
    from rlhf.models.folders import check_model_path, says_nothing
    from rlhf.models.one_base import is_reward_adapter_on, place_of_base

    policy, lora = settings.policy, _inputs.build_lora(settings.lora)
    _inputs.check_lora(settings.lora)
    if holds_score_head(policy.path):
        raise says_nothing(policy.path, "policy.path")
    if not settings.memory.one_base:
        _inputs.refuse_adapter_on_adapter(policy.path, settings.lora, "policy.path")
        return
    assert lora is not None
    base, revision = place_of_base(policy.path, policy.revision)
    if is_adapter_folder(policy.path):
        check_model_path(base, setting=f"{policy.path}/adapter_config.json: base_model_name_or_path")
        check_goes_on(policy.path, lora, "policy.path")
    if settings.critic is None or settings.critic.init_from != "reward":
        return
    path, setting, _ = critic_start(settings)
    if not is_reward_adapter_on(path, base, revision):
        raise ModelError(
            f"with memory.one_base the critic starts from an adapter on {base!r}, which {path!r} is not; "
            "make it one (make reward ARGS=\"'lora={rank: 16, alpha: 32, merge: false}'\"), or set "
            "critic.init_from=policy or trunk",
            where=setting,
        )


def open_base(settings: PpoSettings) -> OneBase | None:
    """Load the base; None where the settings want models apart."""
    from rlhf.models import disable_dropout
    from rlhf.models.one_base import load_one_base
    from rlhf.models.seq2seq import is_encoder_decoder

    if not settings.memory.one_base:
        return None
    policy = settings.policy
    base = load_one_base(
        policy.path,
        dtype=policy.dtype,
        revision=policy.revision,
        trust_remote_code=policy.trust_remote_code,
        quantize=settings.lora is not None and settings.lora.quantize is not None,
        setting="policy.path",
    )
    disable_dropout(base.model)
    if is_encoder_decoder(base.model.config):
        check_seq2seq(settings)  # one from the hub is looked at only now
    return base


def build_learner(settings: PpoSettings, base: OneBase) -> Learner:
    """Make the policy and its critic on the base."""
    from rlhf.models.learner import SeparateLearner, TrunkLearner

    lora = _inputs.build_lora(settings.lora)
    assert lora is not None
    policy = base.policy(lora)
    if settings.critic is None:
        return SeparateLearner(policy, None)
    if settings.critic.init_from == "trunk":
        return TrunkLearner(policy)
    if settings.critic.init_from == "policy":
        return SeparateLearner(policy, base.new_critic(lora))
    path, setting, source = critic_start(settings)
    trusts = source is not None and source.trust_remote_code
    return SeparateLearner(policy, base.critic(path, setting=setting, trust_remote_code=trusts))


def critic_start(settings: PpoSettings) -> tuple[str, str, ScoreSettings | None]:
    """Return the reward model that the critic starts from, the key that names it, and its scores' source."""
    assert settings.critic is not None
    if settings.critic.path is not None:
        return settings.critic.path, "critic.path", None
    number, source = next((n, s) for n, s in enumerate(settings.scores) if s.paths)
    return source.paths[0], f"scores[{number}].{'models[0]' if source.models else 'model'}", source


def shares_base(settings: PpoSettings, source: ScoreSettings, path: str, base: OneBase, setting: str) -> bool:
    """Say whether a reward model is an adapter on the base; say so where it is loaded beside it."""
    same_dtype = source.dtype == settings.policy.dtype
    if base.holds(path) and same_dtype:
        return True
    reason = f"is no adapter on {base.path!r}"
    if base.holds(path):
        reason = f"is to be {source.dtype}, not {settings.policy.dtype} as the base"
    console.say(f"{setting}: {path!r} {reason}: it is loaded whole, beside the base")
    return False


def say_memory(base: OneBase, learner: Learner, reference: Any, scorer: Scorer) -> None:
    """Say how many parameters are held."""
    from rlhf.models.one_base import num_distinct_parameters
    from rlhf.scoring import models_of

    held = num_distinct_parameters(base.model)
    everything = num_distinct_parameters(base.model, learner, reference, *models_of(scorer))
    console.say(
        f"one base: the {held:,} parameters of {base.path!r} are held once; what is each model's own makes "
        f"{everything - held:,} more"
    )
