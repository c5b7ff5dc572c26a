"""Settings of text beside the prompts of PPO: text to go on learning (PPO-ptx), and held-out text."""

from __future__ import annotations

from pydantic import Field, model_validator

from rlhf.settings.layers import Items, Settings
from rlhf.settings.shared import SourceSettings

__all__ = ["HeldOutTextSettings", "PtxSettings", "check_held_out"]


class DocumentSettings(Settings):
    """Where raw text comes from: files, a generator, or both."""

    text: Items[SourceSettings] = ()
    """Sources of text; see `format: text`."""
    generator: str | None = None
    """A Python function `file.py:name` that yields texts from a seed; null: none."""
    generator_seed: int = Field(0, ge=0)
    """What the generator is called with; another number gives other texts of the same kind."""
    num_documents: int | None = Field(None, ge=1)
    """Texts taken from the generator; null where there is none."""

    @model_validator(mode="after")
    def _generator_ends(self) -> DocumentSettings:
        if self.generator is None and (self.num_documents is not None or self.generator_seed != 0):
            raise ValueError("generator_seed and num_documents are only read where generator is set")
        if self.generator is not None and self.num_documents is None:
            raise ValueError("num_documents has to say how many texts are taken from the generator")
        return self


class PtxSettings(DocumentSettings):
    """Text whose prediction is mixed into the policy's gradient (Ouyang et al. 2022, arXiv:2203.02155)."""

    demonstrations: Items[SourceSettings] = ()
    """Sources of demonstrations, as in SFT: their responses are predicted."""
    coef: float = Field(27.8, ge=0)
    """What the text's loss (nats a token) is multiplied by before it is added to the policy's."""
    batch_size: int = Field(32, ge=1)
    """Rows of text in one optimizer step, over all processes."""
    max_tokens: int = Field(256, ge=8)
    """Raw text is joined and cut into rows of this many tokens; longer demonstrations are dropped."""

    @model_validator(mode="after")
    def _has_text(self) -> PtxSettings:
        if not self.text and self.generator is None and not self.demonstrations:
            raise ValueError("nothing to learn from: set text, generator or demonstrations")
        return self


class HeldOutTextSettings(DocumentSettings):
    """Raw text that is never learnt from: how well the policy still predicts it."""

    max_tokens: int = Field(256, ge=8)
    """The text is joined and cut into rows of this many tokens."""

    @model_validator(mode="after")
    def _has_text(self) -> HeldOutTextSettings:
        if not self.text and self.generator is None:
            raise ValueError("no text: set text or generator")
        return self


def check_held_out(ptx: PtxSettings | None, held_out: HeldOutTextSettings | None) -> None:
    """Refuse to measure on the very text that is learnt.

    Raises:
        ValueError: the same source or the same texts of a generator stand on both sides.
    """
    if ptx is None or held_out is None:
        return
    drawn = [(one.generator, one.generator_seed) for one in (ptx, held_out)]
    if ptx.generator is not None and drawn[0] == drawn[1]:
        raise ValueError(
            "evaluation.text would be drawn from ptx.generator with the same generator_seed; set another one"
        )
    for source in held_out.text:
        if source in ptx.text:
            raise ValueError(
                f"evaluation.text has {source.path!r} as ptx.text has it; take another source or split"
            )
