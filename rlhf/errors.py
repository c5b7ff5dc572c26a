"""What goes wrong by the user's hand: one clear message, no traceback.

A message says where (``file:line`` or a dotted key), what was found, what is allowed and what to do::

    raise DataError("'responses' holds 1 response; a ranking needs at least 2", where="data/mine.jsonl:17")
    raise ModelError("tokenizer of 'my/base' has no end-of-sequence token; set model.eos_token")

Stages print the message of a `UserError` and exit with status 2; any other exception is a bug of ours and
keeps its traceback. Our own mistakes are assertions, never these.
"""

from __future__ import annotations

__all__ = ["DataError", "ModelError", "RunError", "SettingsError", "UserError"]


class UserError(ValueError):
    """A mistake in what the user gave us; its text is the whole message that the user sees.

    Args:
        message: what was found, what is allowed and what to do about it; may have several lines.
        where: ``file:line`` or a dotted key, put before the message when given.
    """

    def __init__(self, message: str, where: str | None = None) -> None:
        self.message = message
        self.where = where
        super().__init__(f"{where}: {message}" if where else message)

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str | None]]:
        # Exceptions cross process boundaries (data workers) by pickle, which would pass the joined text only.
        return type(self), (self.message, self.where)


class SettingsError(UserError):
    """A wrong key or value in a YAML file or on the command line."""


class DataError(UserError):
    """A data file, row or column that cannot be used as it is.

    Args:
        message: as in `UserError`.
        where: as in `UserError`.
        code: the short word that it is counted under (`rlhf.feedback.codes` has them all).
    """

    def __init__(self, message: str, where: str | None = None, code: str = "bad_data") -> None:
        super().__init__(message, where)
        self.code = code

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str | None, str]]:  # type: ignore[override]
        return type(self), (self.message, self.where, self.code)


class ModelError(UserError):
    """A model or tokenizer folder that is missing, broken or unfit for its part."""


class RunError(UserError):
    """A run that cannot start, go on or be written (non-finite loss, disk full, foreign checkpoint ...)."""
