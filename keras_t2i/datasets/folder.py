"""Any folder of images with captions."""

import csv
import io
import json
import pathlib
from collections.abc import Iterable

from keras_t2i.captions import is_utf8
from keras_t2i.captions import usable_captions
from keras_t2i.datasets.images import IMAGE_SUFFIXES
from keras_t2i.datasets.images import read_image
from keras_t2i.datasets.images import stored_side
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import ListedSource
from keras_t2i.datasets.source import UnusableFileError
from keras_t2i.datasets.source import existing_folder
from keras_t2i.datasets.source import read_captions
from keras_t2i.datasets.source import split_examples
from keras_t2i.datasets.source import without_suffix
from keras_t2i.types import StrPath

_TEXT_SUFFIX = ".txt"
# Captions of each image file, and the lines that could not be used.
CaptionTable = tuple[dict[str, list[str]], list[UnusableFileError]]


def read_json_lines(path: pathlib.Path) -> CaptionTable:
    """Reads lines of `{"file": ..., "captions": [...]}`.

    A line may have one `caption` instead. Returns also an error for each line
    that could not be used.
    """
    captions_of: dict[str, list[str]] = {}
    unusable = []
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

    Raises:
        ValueError: the header lacks a column, or the file is no CSV.
    """
    captions_of: dict[str, list[str]] = {}
    unusable = []
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
            # None is DictReader's key of surplus values, and its missing one.
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


def _read_text(path: pathlib.Path) -> str:
    # Bytes that are not UTF-8 become surrogates: only their lines are left out.
    return path.read_bytes().decode("utf-8-sig", "surrogateescape")


def _parse_json_line(line: str) -> tuple[str, list[str]]:
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


def _normalize(file: str) -> str:
    return pathlib.PurePosixPath(file).as_posix()


def _unusable_line(
    path: pathlib.Path, number: int, reason: str
) -> UnusableFileError:
    return UnusableFileError(f"{path} line {number}", reason)


_TABLE_READERS = {"captions.jsonl": read_json_lines, "captions.csv": read_csv}


class CaptionedFolder(ListedSource):
    """A folder of images, with captions in one of three layouts.

    - `captions.jsonl`: lines of `{"file": "a.jpg", "captions": ["...", ...]}`
      or `{"file": "a.jpg", "caption": "..."}`;
    - `captions.csv`: the header `file,caption`, then one caption per row;
    - `a.txt` beside `a.jpg`: one caption per line.

    `file` is relative to the folder; an image may have several lines or rows.
    If images lie in sub-folders, the name of its sub-folder is an image's
    class, and class lists (`trainclasses.txt`, `valclasses.txt`,
    `testclasses.txt`) in the folder make the splits. Otherwise a tenth of the
    images is for testing. Names that start with a dot are ignored, and links
    that leave the folder are not followed.

    Args:
        source_dir: path of the folder.

    Raises:
        ValueError: there is no captioned image, there are captions in two
            layouts, or the class lists do not match.
    """

    name = "folder"

    def __init__(self, source_dir: StrPath):
        super().__init__()
        self._root = existing_folder(
            source_dir, "a folder of images with captions"
        )
        captions_of = self._list_captions()
        class_of = self._classify(captions_of)
        if not class_of:
            raise ValueError(
                f"Expected images in {self._root} with captions in "
                "captions.jsonl, in captions.csv or in a .txt file beside "
                "each image. Received: no image that has captions"
                + (f" ({self.unusable[0]})." if self.unusable else ".")
            )
        self.class_names = sorted(
            name for name in set(class_of.values()) if name is not None
        )
        self._splits = {
            split: [(file, captions_of[file]) for file in files]
            for split, files in split_examples(class_of, self._root).items()
        }

    def read(self, key: Key, image_size: int) -> CaptionedImage:
        """Reads one image with its captions."""
        file, captions = key
        path = self._root / file
        class_id = -1
        if self.class_names:
            class_id = self.class_names.index(path.parent.name)
        return CaptionedImage(
            id=file,
            image=read_image(path, stored_side(image_size)),
            captions=captions or read_captions(path.with_suffix(_TEXT_SUFFIX)),
            class_id=class_id,
        )

    def _list_captions(self) -> dict[str, tuple[str, ...] | None]:
        """Pairs images with captions, or with None if a text file has them."""
        files = self._list_files()
        images = [file for file in files if not file.endswith(_TEXT_SUFFIX)]
        tables = [
            name for name in _TABLE_READERS if (self._root / name).is_file()
        ]
        if len(tables) > 1:
            raise ValueError(
                f"Expected captions in one file. Received: {tables} in "
                f"{self._root}. Remove one of them."
            )
        if tables:
            captions_of = self._read_table(tables[0], set(images))
        else:
            captions_of = self._pair_with_texts(images, files)
        for image in images:
            if image not in captions_of:
                self._leave_out_file(image, "has no captions")
        return {
            image: captions
            for image, captions in captions_of.items()
            if captions is None or captions
        }

    def _list_files(self) -> list[str]:
        """Lists image and text files, relative to the folder."""
        files = []
        root = self._root.resolve()
        for path in sorted(self._root.rglob("*")):
            file = path.relative_to(self._root)
            if any(part.startswith(".") for part in file.parts):
                continue
            is_link = path.is_symlink()
            if path.is_dir():
                if is_link:
                    self._leave_out_file(file, "is a link to a folder")
            elif not _is_image_or_text(path):
                continue
            elif not path.is_file():
                self._leave_out_file(file, "is no regular file")
            elif is_link and not path.resolve().is_relative_to(root):
                self._leave_out_file(file, "is a link that leaves the folder")
            elif not is_utf8(str(file)):
                self._leave_out_file(file, "has a name that is not UTF-8")
            else:
                files.append(file.as_posix())
        return files

    def _read_table(
        self, table: str, images: set[str]
    ) -> dict[str, tuple[str, ...] | None]:
        table_path = self._root / table
        table_captions, unusable = _TABLE_READERS[table](table_path)
        self.unusable += unusable
        captions_of: dict[str, tuple[str, ...] | None] = {}
        for file, captions in table_captions.items():
            if _leaves_folder(file):
                self._leave_out_file(file, f"({table}) leaves the folder")
            elif file not in images:
                self._leave_out_file(
                    file, f"({table}) is no image in the folder"
                )
            else:
                captions_of[file] = usable_captions(captions)
                if not captions_of[file]:
                    self._leave_out_file(
                        file, f"({table}) has no usable caption"
                    )
        return captions_of

    def _pair_with_texts(
        self, images: list[str], files: list[str]
    ) -> dict[str, tuple[str, ...] | None]:
        texts = {
            without_suffix(file): file
            for file in files
            if file.endswith(_TEXT_SUFFIX) and not _is_class_list(file)
        }
        stems = [without_suffix(image) for image in images]
        for stem in sorted(texts.keys() - set(stems)):
            self._leave_out_file(texts[stem], "has no image beside it")
        return {
            image: None
            for image, stem in zip(images, stems, strict=True)
            if stem in texts
        }

    def _classify(self, files: Iterable[str]) -> dict[str, str | None]:
        """Pairs files with classes, or with None without sub-folders."""
        class_of: dict[str, str | None] = dict.fromkeys(files)
        if not any("/" in file for file in files):
            return class_of
        for file in list(class_of):
            if "/" in file:
                class_of[file] = pathlib.PurePosixPath(file).parent.name
            else:
                del class_of[file]
                self._leave_out_file(
                    file, "is in no class: other images are in sub-folders"
                )
        return class_of

    def _leave_out_file(self, file: StrPath, reason: str) -> None:
        self._leave_out(self._root / file, reason)


def _is_image_or_text(path: pathlib.Path) -> bool:
    return path.suffix == _TEXT_SUFFIX or path.suffix.lower() in IMAGE_SUFFIXES


def _is_class_list(file: str) -> bool:
    return "/" not in file and file.endswith("classes.txt")


def _leaves_folder(file: str) -> bool:
    path = pathlib.PurePosixPath(file)
    return path.is_absolute() or ".." in path.parts
