"""Keep the library's own bars and notices out of ours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_library"]


@contextmanager
def quiet_library() -> Iterator[None]:
    """Silence transformers' progress bars and notices (not its errors) for a while.

    Its table of missing keys, for one, reports that a score head is new, which is what we ask for.
    """
    from transformers.utils import logging

    level, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # among the pinned libraries themselves
            yield
    finally:
        logging.set_verbosity(level)
        if had_bars:
            logging.enable_progress_bar()
