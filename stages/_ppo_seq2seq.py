"""What PPO cannot do with an encoder-decoder as the policy (T5, BART), and what to do instead."""

from __future__ import annotations

from rlhf.errors import SettingsError
from rlhf.settings.ppo import PpoSettings

__all__ = ["check_seq2seq"]


def check_seq2seq(settings: PpoSettings) -> None:
    """Refuse settings that mean nothing for a policy that reads prompt and response apart.

    Raises:
        SettingsError: says which, and what to set.

    """
    path = settings.policy.path
    if settings.critic is not None and settings.critic.init_from == "reward":
        raise SettingsError(
            f"is reward, but the policy {path!r} is an encoder-decoder, whose critic values what its decoder "
            "has written, and a reward model reads prompt and response otherwise; set critic.init_from=policy"
            " or trunk",
            where="critic.init_from",
        )
    ptx, text = settings.ptx, settings.evaluation.text
    if ptx is not None and (ptx.text or ptx.generator is not None):
        raise SettingsError(
            f"the policy {path!r} is an encoder-decoder, which predicts a response to a prompt and not raw "
            "text; set ptx.demonstrations instead of ptx.text and ptx.generator",
            where="ptx.text" if ptx.text else "ptx.generator",
        )
    if text is not None:
        raise SettingsError(
            f"the policy {path!r} is an encoder-decoder, which predicts a response to a prompt and not raw "
            "text: it has no loss on text; set null",
            where="evaluation.text",
        )
