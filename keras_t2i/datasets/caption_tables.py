"""Tables of image files and their captions."""

import csv
import io
import pathlib
import unicodedata
from collections.abc import Callable
from collections.abc import Collection
from typing import Any

from keras_t2i.captions import caption_damage
from keras_t2i.captions import is_utf8
from keras_t2i.datasets.images import IMAGE_SUFFIXES
from keras_t2i.reading import MAX_TABLE_BYTES
from keras_t2i.reading import UnusableFileError
from keras_t2i.reading import parse_json
from keras_t2i.reading import read_text

# Captions of each image file, and the lines that could not be used.
CaptionTable = tuple[dict[str, list[str]], list[UnusableFileError]]

# Those of this library, of image folders of Hugging Face and of Flickr8k.
_FILE_NAMES = ("file", "file_name", "image")
_CAPTION_NAMES = ("caption", "text")


class _Table:
    """Collects what a table says."""

    def __init__(self, path: pathlib.Path):
        self._path = path
        self.captions_of: dict[str, list[str]] = {}
        self.unusable: list[UnusableFileError] = []

    def add(self, number: int, file: str, captions: list[str]) -> None:
        """Takes up a line, and leaves out its captions that are damaged."""
        if not is_utf8(file):
            self.leave_out(number, "is not UTF-8")
            return
        for place, caption in enumerate(captions, start=1):
            damage = caption_damage(caption)
            if damage is None:
                name = pathlib.PurePosixPath(file).as_posix()
                self.captions_of.setdefault(name, []).append(caption)
            else:
                which = f" (caption {place})" if len(captions) > 1 else ""
                self.leave_out(number, damage + which)

    def leave_out(self, number: int, reason: str) -> None:
        self.unusable.append(
            UnusableFileError(f"{self._path} line {number}", reason)
        )


def read_json_lines(path: pathlib.Path) -> CaptionTable:
    """Reads lines of `{"file": ..., "captions": [...]}`.

    A line may have one `caption` or `text` instead, and `file_name` or `image`
    in place of `file`. Returns also an error for each line, or caption of it,
    that could not be used. Raises `ValueError` if the file is no text or too
    large.
    """
    table = _Table(path)
    lines = read_text(path, MAX_TABLE_BYTES).split("\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                table.add(number, *_parse_json_line(line))
            except ValueError as error:
                table.leave_out(number, str(error))
    return table.captions_of, table.unusable


def _parse_json_line(line: str) -> tuple[str, list[str]]:
    try:
        values = parse_json(line)
    except ValueError as error:
        raise ValueError(f"is not JSON ({error})") from None
    if isinstance(values, dict):
        file = _first(values, _FILE_NAMES)
        captions = values.get("captions", [_first(values, _CAPTION_NAMES)])
        if isinstance(file, str) and isinstance(captions, list):
            if all(isinstance(caption, str) for caption in captions):
                return file, captions
    raise ValueError(
        'expected {"file": "...", "captions": ["...", ...]} or '
        '{"file": "...", "caption": "..."}'
    )


def _first(values: dict[str, Any], names: Collection[str]) -> Any:
    return next((values[name] for name in names if name in values), None)


def read_csv(path: pathlib.Path) -> CaptionTable:
    """Reads a table with the columns `file` and `caption`.

    Columns may also be called `file_name` or `image`, and `text`. Raises
    `ValueError` if the header lacks a column, a quotation mark without a second
    one makes a caption of several rows, or the file is no text or too large.
    """
    table = _Table(path)
    text = io.StringIO(read_text(path, MAX_TABLE_BYTES))
    # Strict, as otherwise text after a closing mark would just be appended.
    rows = csv.reader(text, skipinitialspace=True, strict=True)
    header: list[str] | None = None
    places: list[int] = []
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            if header is None or rows.line_num > number:
                raise _unmatched_quote(path, number, str(error)) from None
            table.leave_out(number, f"is not CSV ({error})")
            continue
        if header is None:
            header, places = row, _columns(path, row)
        elif row and len(row) != len(header):
            table.leave_out(
                number,
                f"expected {len(header)} columns, as in the header; a caption "
                "with commas needs quotes",
            )
        elif row:
            if any(_holds_rows(value, len(row)) for value in row):
                raise _unmatched_quote(path, number, "rows within a value")
            table.add(number, row[places[0]], [row[places[1]]])
    if header is None:
        _columns(path, [])
    return table.captions_of, table.unusable


def has_header(path: pathlib.Path) -> bool:
    """Whether a text file begins as a table of captions does."""
    line = read_text(path, MAX_TABLE_BYTES).partition("\n")[0]
    values = {value.strip(' "') for value in line.split(",")}
    return not values.isdisjoint(_FILE_NAMES) and not values.isdisjoint(
        _CAPTION_NAMES
    )


def _columns(path: pathlib.Path, header: list[str]) -> list[int]:
    """Returns the places of the file and of the caption."""
    places = [
        next((header.index(name) for name in names if name in header), None)
        for names in (_FILE_NAMES, _CAPTION_NAMES)
    ]
    known = [place for place in places if place is not None]
    if len(known) < len(places):
        raise ValueError(
            f"{path} must have the header file,caption. Received: {header}. "
            "The columns may also be called file_name or image, and text."
        )
    return known


def _holds_rows(value: str, num_columns: int) -> bool:
    """Whether a value of several lines has swallowed other rows."""
    return any(
        line.count(",") >= num_columns - 1
        and any(
            part.strip(' "').lower().endswith(IMAGE_SUFFIXES)
            for part in line.split(",")
        )
        for line in value.split("\n")[1:]
    )


def _unmatched_quote(
    path: pathlib.Path, number: int, received: str
) -> ValueError:
    return ValueError(
        f"{path} must have a second quotation mark for each that opens a "
        f"value. Received: one in line {number} without it, which takes other "
        f"rows into its caption ({received}). Close it there, or write the "
        "mark twice within marks."
    )


def match_images(
    files: Collection[str], images: Collection[str]
) -> dict[str, str]:
    """Finds the image that each name in a table means.

    A name may differ from the image's in upper and lower case, in the Unicode
    normalization and in backslashes for slashes. If no name is found so, names
    may lack the image's folder. What could mean several images has no match.
    """
    found: dict[str, str] = {}
    for shorten in (str, lambda name: name.rpartition("/")[2]):
        by_name: dict[str, list[str]] = {}
        for image in images:
            by_name.setdefault(shorten(_plain(image)), []).append(image)
        for file in files:
            same = [file] if file in images else by_name.get(_plain(file), [])
            if len(same) == 1:
                found[file] = same[0]
        if found:
            break
    return found


def _plain(file: str) -> str:
    name = unicodedata.normalize("NFC", file.replace("\\", "/").casefold())
    return pathlib.PurePosixPath(name).as_posix()


TABLE_READERS: dict[str, Callable[[pathlib.Path], CaptionTable]] = {
    "captions.jsonl": read_json_lines,
    "captions.csv": read_csv,
    "captions.txt": read_csv,
    "metadata.jsonl": read_json_lines,
    "metadata.csv": read_csv,
}
