"""``rlhf``: look at data before training (check), and write it in other forms (convert).

The stages themselves are started by make, or ``python -m stages.sft`` and so on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from rlhf.errors import UserError
from stages._check import check_parser, run_check
from stages._convert import convert_parser, run_convert

__all__ = ["main"]

COULD_NOT, INTERRUPTED = 2, 130
COMMANDS = {"check": (check_parser, run_check), "convert": (convert_parser, run_convert)}


def main(words: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; a user's mistake is one message and status 2."""
    words = list(sys.argv[1:] if words is None else words)
    command = _parser().parse_args(words[:1]).command
    parser, run = COMMANDS[command]
    # Intermixed, so that options may stand between and behind key=value pairs.
    options = parser().parse_intermixed_args(words[1:])
    try:
        status = run(options)
        sys.stdout.flush()
        return status
    except UserError as error:
        print(error, file=sys.stderr)
        if getattr(options, "json", False):  # a program that reads the document finds out there, too
            print(
                json.dumps({"verdict": "could not be checked", "exit_code": COULD_NOT, "failure": str(error)})
            )
        return COULD_NOT
    except BrokenPipeError:  # `rlhf check ... | head`: nobody read the verdict
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COULD_NOT
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rlhf",
        description="Look at people's feedback before a model is trained on it.",
        epilog="rlhf check --help says more. Training itself: make sft, make reward, make ppo.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    about = "check    show what would be trained on, and every problem in it\n"
    about += "convert  write data as canonical rows, for TRL, or as chosen and rejected texts"
    parser.add_argument_group("commands", about).add_argument("command", choices=COMMANDS, metavar="COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())
