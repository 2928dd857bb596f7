"""Checksums of a folder's files, in the form of the program `sha256sum`."""

import hashlib
import pathlib
import re
from collections.abc import Iterable

from keras_t2i.files import atomic_write
from keras_t2i.reading import read_text
from keras_t2i.types import StrPath

CHECKSUMS_FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def file_sha256(path: StrPath) -> str:
    """Returns the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: StrPath, files: Iterable[str]) -> None:
    """Writes `SHA256SUMS`, which `sha256sum -c SHA256SUMS` checks too.

    Args:
        folder: path of the folder.
        files: paths of files, relative to it, with `/` between their parts.

    Raises:
        OSError: a file cannot be read or written.
    """
    folder = pathlib.Path(folder)
    lines = [f"{file_sha256(folder / file)}  {file}\n" for file in files]
    with atomic_write(folder / CHECKSUMS_FILE) as temporary:
        temporary.write_text("".join(lines), "utf-8")


def check_checksums(folder: StrPath, needed: Iterable[str]) -> None:
    """Checks the files that `SHA256SUMS` lists, if there is one.

    It finds damage, not intent: who changes a file can change its checksum.
    Earlier versions of this library have written none.

    Args:
        folder: path of the folder.
        needed: names of files that it must list.

    Raises:
        ValueError: a file is missing or damaged, or the list is.
        OSError: a file cannot be read.
    """
    path = pathlib.Path(folder) / CHECKSUMS_FILE
    if not path.is_file():
        return
    lines = read_text(path).removesuffix("\n").split("\n")
    matches = [_LINE.fullmatch(line) for line in lines]
    digests = {match[2]: match[1] for match in matches if match}
    # A list that was cut would else vouch for files that it does not name.
    if len(digests) != len(matches) or not digests.keys() >= set(needed):
        raise ValueError(
            f"{path} must list checksums of files. Received: a damaged list. "
            "Make the folder again."
        )
    for name, digest in digests.items():
        file = path.parent / name
        received = file_sha256(file) if file.is_file() else "no such file"
        if received != digest:
            raise ValueError(
                f"{file} must have the SHA-256 that {CHECKSUMS_FILE} says, "
                f"{digest}. Received: {received}. It is damaged or was "
                "replaced: make the folder again."
            )
