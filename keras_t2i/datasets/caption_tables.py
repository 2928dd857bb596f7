"""Captions of many images in one file."""

import csv
import io
import json
import pathlib

from keras_t2i.datasets.captions import is_utf8
from keras_t2i.datasets.source import UnusableFileError

# Captions of each image file, and the lines that could not be used.
CaptionTable = tuple[dict[str, list[str]], list[UnusableFileError]]


def read_json_lines(path: pathlib.Path) -> CaptionTable:
    """Reads lines of `{"file": ..., "captions": [...]}`.

    Args:
        path: path of the file. A line may have one `caption` instead.

    Returns:
        dict of image files to lists of captions, and a list of
        `UnusableFileError`, one a line that could not be used.
    """
    captions_of, unusable = {}, []
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            file, captions = _parse_json_line(line)
        except ValueError as error:
            unusable.append(_unusable_line(path, number, str(error)))
        else:
            captions_of.setdefault(file, []).extend(captions)
    return captions_of, unusable


def read_csv(path: pathlib.Path) -> CaptionTable:
    """Reads a table with the columns `file` and `caption`.

    Args:
        path: path of the file. An image may have several rows.

    Returns:
        dict of image files to lists of captions, and a list of
        `UnusableFileError`, one a row that could not be used.

    Raises:
        ValueError: the header lacks a column, or the file is no CSV.
    """
    captions_of, unusable = {}, []
    text = io.StringIO(_read_text(path), newline="")
    rows = csv.DictReader(text, skipinitialspace=True)
    try:
        columns = rows.fieldnames or []
        if not {"file", "caption"} <= set(columns):
            raise ValueError(
                f"{path} must have the header file,caption. Received: "
                f"{columns}."
            )
        for row in rows:
            file, caption = row["file"], row["caption"]
            # DictReader's None: what the header has no column for.
            if None in row or None in (file, caption):
                reason = (
                    f"expected {len(columns)} columns, as in the header; a "
                    "caption with commas needs quotes"
                )
            elif not is_utf8(file + caption):
                reason = "is not UTF-8"
            else:
                captions_of.setdefault(_normalize(file), []).append(caption)
                continue
            unusable.append(_unusable_line(path, rows.line_num, reason))
    except csv.Error as error:
        raise ValueError(
            f"{path} must be a CSV file. Received: {error} (line "
            f"{rows.line_num})."
        ) from None
    return captions_of, unusable


def _read_text(path):
    # Bytes that are not UTF-8 become surrogates, so that only their lines are
    # left out.
    return path.read_bytes().decode("utf-8-sig", "surrogateescape")


def _parse_json_line(line):
    if not is_utf8(line):
        raise ValueError("is not UTF-8")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON ({error})") from None
    if isinstance(values, dict):
        file = values.get("file")
        captions = values.get("captions", [values.get("caption")])
        if isinstance(file, str) and isinstance(captions, list):
            if all(isinstance(caption, str) for caption in captions):
                return _normalize(file), captions
    raise ValueError(
        'expected {"file": "...", "captions": ["...", ...]} or '
        '{"file": "...", "caption": "..."}'
    )


def _normalize(file):
    return pathlib.PurePosixPath(file).as_posix()


def _unusable_line(path, number, reason):
    return UnusableFileError(f"{path} line {number}", reason)
