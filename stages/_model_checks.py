"""Whether the models in local folders can be what a stage's settings ask for, before anything is trained.

Everything is looked at that loading looks at, but the weights' numbers, which stay on the disk. What is on
the hub is not looked at: a check downloads nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf.runs import console
from stages import _inputs
from stages._limits import Limits, limits_of

if TYPE_CHECKING:
    from rlhf.settings.ppo import PpoSettings
    from rlhf.settings.shared import AdapterSettings, ModelSettings

__all__ = ["check_language_model", "check_ppo_models", "check_reward_model", "is_opened"]


def is_opened(path: str, setting: str) -> bool:
    """Say whether a check opens this model. One that it does not is named: it may be a misspelt folder."""
    from rlhf.models.folders import opens_unread

    if opens_unread(path):
        return True
    here = Path(path).expanduser().is_dir()
    why = "is not opened before it is loaded" if here else "is no folder here, so it is looked for on the hub"
    console.say(f"{setting}: {path!r} {why}; until then nothing of it is checked")
    return False


def check_language_model(
    model: ModelSettings,
    setting: str,
    limits: Limits,
    lora: AdapterSettings | None = None,
) -> None:
    """Refuse what cannot be opened as a language model with a tokenizer, and with the adapters of `lora`.

    Raises:
        UserError: `check_model_path`, the loaders and the renderer say why.

    """
    from rlhf.models import add_lora
    from rlhf.models.folders import check_model_path, check_writes

    check_model_path(model.path, setting=setting)
    check_writes(model.path, setting=setting)
    if is_opened(model.path, setting):
        tokenizer = _inputs.open_tokenizer(model, setting)
        opened = _inputs.open_policy(model, setting, weights=False)
        _inputs.build_renderer(tokenizer, opened, limits, setting)
        spec = _inputs.build_lora(lora)
        if spec is not None:
            add_lora(opened, replace(spec, quantize=None))  # there is nothing to round


def check_reward_model(path: str, setting: str) -> None:
    """Refuse what cannot be opened as a reward model with a tokenizer; errors as above."""
    from rlhf.models import load_reward_model, load_tokenizer
    from rlhf.models.encoders import reads_pairs
    from rlhf.models.folders import check_reward_path

    check_reward_path(path, setting=setting)
    if is_opened(path, setting):
        opened = load_reward_model(path, setting=setting, weights=False)
        load_tokenizer(path, setting=setting, pairs=reads_pairs(opened.config))


def check_ppo_models(settings: PpoSettings) -> None:
    """Refuse models of PPO that cannot be opened or do not fit together, as far as they are in folders.

    Raises:
        UserError: as for one model, and what does not fit on what.

    """
    from rlhf.models import load_reward_model
    from rlhf.models.folders import opens_unread
    from stages._ppo_models import open_models
    from stages._ppo_one_base import critic_start
    from stages._ppo_scores import open_reader, options_of

    needed = [model.path for model in (settings.policy, settings.reference) if model is not None]
    if settings.critic is not None and settings.critic.init_from == "reward":
        needed.append(critic_start(settings)[0])
    renderer = None
    if all(map(opens_unread, needed)):
        _, _, renderer = open_models(settings, weights=False)
    else:  # each by itself
        limits = limits_of(settings.sampling, "sampling")
        check_language_model(settings.policy, "policy.path", limits, settings.lora)
        if settings.reference is not None and is_opened(settings.reference.path, "reference.path"):
            _inputs.open_policy(settings.reference, "reference.path", weights=False)
        if settings.critic is not None and settings.critic.init_from == "reward":
            is_opened(critic_start(settings)[0], "critic")
    for name in ("scores", "evaluation.held_out_scores"):
        sources = settings.scores if name == "scores" else settings.evaluation.held_out_scores
        for number, source in enumerate(sources):
            for place, path in enumerate(source.paths):
                setting = f"{name}[{number}].{f'models[{place}]' if source.models else 'model'}"
                if not is_opened(path, setting):
                    continue
                model = load_reward_model(path, setting=setting, weights=False, **options_of(source))
                if renderer is not None:
                    open_reader(settings, source, path, setting, model, renderer)
