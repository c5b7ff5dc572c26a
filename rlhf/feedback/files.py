"""Find data files and read their lines; every failure names the file, and the line where there is one."""

from __future__ import annotations

import glob
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, cast

from rlhf.errors import DataError
from rlhf.feedback.arrow import ARROW_EXTENSIONS, saved_files
from rlhf.feedback.notes import BadRow

__all__ = [
    "EXTENSIONS",
    "TEXT_EXTENSIONS",
    "decode",
    "extension_of",
    "find_files",
    "fingerprint_files",
    "read_lines",
]

TEXT_EXTENSIONS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")
EXTENSIONS = (*TEXT_EXTENSIONS, *ARROW_EXTENSIONS)
_SHOWN = f"{', '.join(TEXT_EXTENSIONS)}, each also .gz, and {', '.join(ARROW_EXTENSIONS)}"
_SAVED_NOTES = ("dataset_info.json", "state.json")  # beside the .arrow files of `save_to_disk`


def find_files(path: str, *, any_extension: bool = False) -> list[Path]:
    """Return the data files that a path, folder or glob stands for, in order of name.

    With `any_extension` every file is one, whatever it is called.

    Raises:
        DataError: there is none, it cannot be looked at, or a file's extension is not one we read.
    """
    try:
        return _found_files(path, any_extension)
    except OSError as error:
        raise DataError(f"cannot be looked at: {error.strerror or error}", path, "unreadable") from error
    except DataError:
        raise
    except ValueError as error:  # a zero byte, half a surrogate pair
        raise DataError(f"is no name of a file ({error})", repr(path)[1:-1], "file_not_found") from error


def _found_files(path: str, any_extension: bool) -> list[Path]:
    if not path.strip():
        raise DataError("path is empty; name a file, a folder or a glob", path, "file_not_found")
    try:
        place = Path(path).expanduser()
    except RuntimeError as error:  # ~somebody
        raise DataError("this user has no home folder", path, "file_not_found") from error
    if place.is_dir():
        saved = None if any_extension else saved_files(place)
        files = saved or sorted(
            file
            for file in place.rglob("*")
            if file.is_file()
            and not _is_hidden(file.relative_to(place))
            and (any_extension or (extension_of(file) in EXTENSIONS and not _is_note(file)))
        )
        if not files:
            raise DataError(f"folder holds no data file (looked for {_SHOWN})", path, "file_not_found")
        return files
    if not place.exists() and any(sign in path for sign in "*?["):
        files = sorted(file for file in map(Path, glob.glob(str(place), recursive=True)) if file.is_file())
        if not files:
            raise DataError("no file matches this pattern", path, "file_not_found")
    elif not place.exists():
        raise DataError(
            f"no such file or folder{_nearest_name(place)}{_maybe_hub(path)}", path, "file_not_found"
        )
    else:
        files = [place]
    for file in files:
        if not any_extension and extension_of(file) not in EXTENSIONS:
            raise DataError(
                f"extension {extension_of(file) or '(none)'!r} is not read; allowed: {_SHOWN}",
                str(file),
                "unknown_extension",
            )
        if not any_extension and file.suffix == ".gz" and extension_of(file) in ARROW_EXTENSIONS:
            raise DataError(
                f"{extension_of(file)} is not read through .gz; unpack it", str(file), "unknown_extension"
            )
    return files


def extension_of(file: Path) -> str:
    """Return the lower-case extension that tells the format, looking through .gz."""
    suffixes = file.suffixes
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1].lower() if suffixes else ""


def _is_hidden(file: Path) -> bool:
    """Say whether a file or a folder above it begins with a dot: copies that editors and notebooks keep."""
    return any(part.startswith(".") for part in file.parts)


def _is_note(file: Path) -> bool:
    return file.name in _SAVED_NOTES and all((file.parent / name).is_file() for name in _SAVED_NOTES)


def _maybe_hub(path: str) -> str:
    is_id = re.fullmatch(r"[\w.-]+/[\w.-]+", path) and extension_of(Path(path)) not in EXTENSIONS
    return "; if a hub id is meant, set hub: {split: train}" if is_id else ""


def _nearest_name(place: Path) -> str:
    if place.is_symlink():
        return "; it is a link that leads nowhere"
    if not place.parent.is_dir():
        return f"; folder {str(place.parent)!r} does not exist either"
    near = get_close_matches(place.name, [entry.name for entry in place.parent.iterdir()], n=1)
    return f"; did you mean {str(place.parent / near[0])!r}?" if near else ""


def fingerprint_files(path: str) -> dict[str, str]:
    """Return the SHA-256 (hex) of each file that `path` stands for, for a run's provenance."""
    found = {}
    for file in find_files(path):
        digest = hashlib.sha256()
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        found[str(file)] = digest.hexdigest()
    return found


def _open(file: Path) -> BinaryIO:
    try:
        return cast(BinaryIO, gzip.open(file, "rb")) if file.suffix == ".gz" else file.open("rb")
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror or error}", str(file), "unreadable") from error


def read_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (line number, bytes with their line end).

    Raises:
        DataError: the file is empty, cut off, not what its name says, or cannot be read.
    """
    number = 0
    with _open(file) as stream:
        try:
            for number, line in enumerate(stream, 1):
                if number == 1:
                    # Its mark, or the zero bytes that it has between the letters of an ASCII text.
                    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line[:4]:
                        raise DataError("is UTF-16; save it as UTF-8", str(file), "bad_utf8")
                    line = line.removeprefix(b"\xef\xbb\xbf")  # the byte order mark some editors write
                yield number, line
        except EOFError as error:
            raise DataError(
                "the .gz ends too early (cut off while copying?); fetch it again",
                f"{file}:{number + 1}",
                "truncated_gz",
            ) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                f"is not a sound .gz file ({error}); fetch it again, or drop .gz from its name",
                f"{file}:{number + 1}",
                "bad_gz",
            ) from error
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", str(file), "unreadable") from error
    if number == 0:
        raise DataError("file is empty", str(file), "empty_file")


def decode(line: bytes, where: str) -> str:
    """Return the text of a line; a byte that is not UTF-8 raises a BadRow that names it."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        message = f"byte 0x{byte:02x} at position {error.start + 1} is not UTF-8"
        message += " (Latin-1 or Windows-1252?); save the file as UTF-8"
        raise BadRow(message, where, "bad_utf8") from error
