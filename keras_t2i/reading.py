"""Reads files of strangers: regular files only, and only up to a size."""

import codecs
import contextlib
import errno
import io
import json
import mmap
import os
import pathlib
import re
import stat
from collections.abc import Iterator
from typing import Any

from keras_t2i.types import StrPath

# The captions of some ten million images.
MAX_TABLE_BYTES = 2**30
# COCO's embeddings, the largest file that is published, have less than half.
MAX_ARRAY_BYTES = 2**33
# Any other text, such as the captions of one image.
_MAX_TEXT_BYTES = 2**24
# Lists and objects of a JSON file, which take fifty times as much memory as
# their two characters. COCO's captions have less than a million.
_MAX_JSON_CONTAINERS = 10_000_000
# Folders within folders.
_MAX_DEPTH = 100
# A heap of texts in a file: a version and zeros follow its signature. It has a
# head of as many bytes as each of its objects, which begin at multiples of 8.
_HDF5_HEAP = re.compile(rb"GCOL\x01\0\0\0")
_HEAP_HEAD_BYTES = 16
# UTF-32 first: its mark begins with that of UTF-16.
_BYTE_ORDER_MARKS = {
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}


class UnusableFileError(ValueError):
    """A file or a part of it cannot be used, for a reason; others still can.

    `file` is the path of the file, or another name of what is not used.
    `reason` is what follows the name and a colon in the message. `num_files` is
    how many files are not used for this reason.
    """

    def __init__(self, file: str, reason: str, num_files: int = 1):
        super().__init__(file, reason, num_files)
        self.file = file
        self.reason = reason
        self.num_files = num_files

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@contextlib.contextmanager
def open_file(path: StrPath, max_bytes: int) -> Iterator[io.BufferedReader]:
    """Opens a regular file of at most `max_bytes`, to read bytes.

    Raises `UnusableFileError` if the file is larger, or if it is a pipe, a
    device or the like, which may never end. Raises `OSError` if it cannot be
    opened.
    """
    # Otherwise, to open a pipe would be to wait for who writes to it.
    with open(
        path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)
    ) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnusableFileError(str(path), "is no regular file")
        if status.st_size > max_bytes:
            raise UnusableFileError(
                str(path),
                f"has {status.st_size:,} bytes, more than the {max_bytes:,} "
                "that are read of such a file",
            )
        yield file


def read_file(path: StrPath, max_bytes: int) -> bytes:
    """Returns the bytes of a file that `open_file` opens."""
    with open_file(path, max_bytes) as file:
        return file.read(os.fstat(file.fileno()).st_size)


def read_text(
    path: StrPath,
    max_bytes: int = _MAX_TEXT_BYTES,
    errors: str = "surrogateescape",
) -> str:
    """Reads a text file, whatever editor wrote it, with `\\n` as line ends.

    The file is in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark.
    `errors` says what bytes that are not UTF-8 become: surrogates
    (`"surrogateescape"`), U+FFFD (`"replace"`) or an error (`"strict"`). With
    surrogates, `keras_t2i.captions.is_utf8` finds the lines that are damaged.
    Raises `ValueError` if the file is no text, no regular one, or larger than
    `max_bytes`. Raises `OSError` if it cannot be opened or read.
    """
    return decode_text(read_file(path, max_bytes), str(path), errors)


def decode_text(
    content: bytes, name: str, errors: str = "surrogateescape"
) -> str:
    """Decodes what `read_text` reads; `name` is what errors call it."""
    encoding = next(
        (
            encoding
            for encoding, marks in _BYTE_ORDER_MARKS.items()
            if content.startswith(marks)
        ),
        "utf-8-sig",
    )
    if encoding == "utf-8-sig":
        if content.count(0) > len(content) // 3:
            raise UnusableFileError(
                name,
                "is no UTF-8 text, as a third of it are NUL bytes. If it is "
                "UTF-16, save it with a byte-order mark",
            )
    elif errors == "surrogateescape":
        # The same for them: halves of pairs stay as they are.
        errors = "surrogatepass"
    try:
        text = content.decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise UnusableFileError(
            name,
            f"is not {error.encoding} (byte {error.start}: {error.reason})",
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: StrPath, max_bytes: int = _MAX_TEXT_BYTES) -> Any:
    """Reads a JSON file.

    Raises `ValueError` if the file is damaged, not a regular one, or too large.
    Raises `OSError` if it cannot be opened or read.
    """
    return parse_json(read_text(path, max_bytes, "strict"))


def parse_json(text: str) -> Any:
    """Parses JSON; whatever is wrong with it is a `ValueError`."""
    if text.count("[") + text.count("{") > _MAX_JSON_CONTAINERS:
        raise ValueError(
            f"it has more than {_MAX_JSON_CONTAINERS:,} lists and objects"
        )
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def walk(
    folder: StrPath, unusable: list[UnusableFileError] | None = None
) -> Iterator[pathlib.Path]:
    """Lists all that is in a folder and its sub-folders, in order.

    Names that start with a dot are left out, such as the `._a.jpg` that macOS
    adds to `a.jpg`. Links to folders are listed, and not followed. Unlike
    `Path.rglob`, this needs no recursion, and it can tell which folders could
    not be read: it adds them to `unusable`, or leaves them out in silence if
    `unusable` is `None`.
    """
    found: list[pathlib.Path] = []
    folders = [pathlib.Path(folder)]
    max_parts = len(folders[0].parts) + _MAX_DEPTH
    while folders:
        path = folders.pop()
        try:
            if len(path.parts) > max_parts:
                raise OSError(errno.ELOOP, "is nested too deeply")
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    found.append(path / entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(path / entry.name)
        except OSError as error:
            if unusable is not None:
                unusable.append(
                    UnusableFileError(str(path), str(error.strerror))
                )
    yield from sorted(found)


def check_hdf5_heaps(content: bytes | mmap.mmap) -> None:
    """Refuses a heap in which the HDF5 library would search forever.

    The library goes from object to object by their sizes, also by one of 0.
    `content` is a whole file. Raises `ValueError` if the sizes in a heap of
    texts do not add up to its own.
    """
    for match in _HDF5_HEAP.finditer(content):
        head = match.start()
        end = head + _number(content, head + 8, 8)
        place = head + _HEAP_HEAD_BYTES
        while end - place >= _HEAP_HEAD_BYTES:
            size = _number(content, place + 8, 8)
            # The size of free space, which has no number, is that of all of it.
            if _number(content, place, 2):
                size = _HEAP_HEAD_BYTES + -(-size // 8) * 8
            if not _HEAP_HEAD_BYTES <= size <= end - place:
                raise ValueError(f"an object of {size} bytes at byte {place}")
            place += size


def _number(content: bytes | mmap.mmap, place: int, num_bytes: int) -> int:
    return int.from_bytes(content[place : place + num_bytes], "little")
