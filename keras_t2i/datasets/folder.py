"""Any folder of images with captions."""

import csv
import io
import json
import os
import pathlib

from keras_t2i.captions import is_utf8
from keras_t2i.captions import usable_captions
from keras_t2i.datasets.images import IMAGE_SUFFIXES
from keras_t2i.datasets.images import read_image
from keras_t2i.datasets.images import stored_side
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import UnusableFileError
from keras_t2i.datasets.source import read_captions
from keras_t2i.datasets.source import split_examples

_TEXT_SUFFIX = ".txt"
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


_TABLE_READERS = {"captions.jsonl": read_json_lines, "captions.csv": read_csv}


class CaptionedFolder:
    """A folder of images, with captions in one of three layouts.

    - `captions.jsonl`: lines of `{"file": "a.jpg", "captions": ["...", ...]}`
      or `{"file": "a.jpg", "caption": "..."}`;
    - `captions.csv`: the header `file,caption`, then one caption a row;
    - `a.txt` beside `a.jpg`: one caption a line.

    `file` is relative to the folder; an image may have several lines or rows.
    Where images lie in sub-folders, the name of its sub-folder is an image's
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

    def __init__(self, source_dir: str | os.PathLike):
        self._root = pathlib.Path(source_dir)
        if not self._root.is_dir():
            raise ValueError(
                "Expected a folder of images with captions. Received: "
                f"{str(source_dir)!r}, which is no folder."
            )
        self.unusable = []
        captions_of = self._list_captions()
        class_of = self._classify(captions_of)
        if not class_of:
            raise ValueError(
                f"Expected images in {self._root} with captions in "
                "captions.jsonl, in captions.csv or in a .txt file beside "
                "each image. Received: no image that has captions"
                + (f" ({self.unusable[0]})." if self.unusable else ".")
            )
        self.class_names = sorted(set(class_of.values()) - {None})
        self._splits = {
            split: [(file, captions_of[file]) for file in files]
            for split, files in split_examples(class_of, self._root).items()
        }

    def __getstate__(self):
        # Another process only reads. The whole listing would have it start
        # late, and be there once for each.
        return {**self.__dict__, "_splits": None, "unusable": None}

    def splits(self) -> dict[str, list[Key]]:
        """Returns the keys of each split."""
        return self._splits

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

    def _list_captions(self):
        """Pairs image files with captions, or with None for a text file."""
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
                self._leave_out(image, "has no captions")
        return {
            image: captions
            for image, captions in captions_of.items()
            if captions is None or captions
        }

    def _list_files(self):
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
                    self._leave_out(file, "is a link to a folder")
            elif not _is_image_or_text(path):
                continue
            elif not path.is_file():
                self._leave_out(file, "is no regular file")
            elif is_link and not path.resolve().is_relative_to(root):
                self._leave_out(file, "is a link that leaves the folder")
            elif not is_utf8(str(file)):
                self._leave_out(file, "has a name that is not UTF-8")
            else:
                files.append(file.as_posix())
        return files

    def _read_table(self, table, images):
        table_path = self._root / table
        table_captions, unusable = _TABLE_READERS[table](table_path)
        self.unusable += unusable
        captions_of = {}
        for file, captions in table_captions.items():
            if _leaves_folder(file):
                self._leave_out(file, f"({table}) leaves the folder")
            elif file not in images:
                self._leave_out(file, f"({table}) is no image in the folder")
            else:
                captions_of[file] = usable_captions(captions)
                if not captions_of[file]:
                    self._leave_out(file, f"({table}) has no usable caption")
        return captions_of

    def _pair_with_texts(self, images, files):
        texts = {
            _without_suffix(file): file
            for file in files
            if file.endswith(_TEXT_SUFFIX) and not _is_class_list(file)
        }
        stems = [_without_suffix(image) for image in images]
        for stem in sorted(texts.keys() - set(stems)):
            self._leave_out(texts[stem], "has no image beside it")
        return {
            image: None
            for image, stem in zip(images, stems, strict=True)
            if stem in texts
        }

    def _classify(self, files):
        """Pairs files with classes, or with None without sub-folders."""
        if not any("/" in file for file in files):
            return dict.fromkeys(files)
        class_of = {}
        for file in files:
            if "/" in file:
                class_of[file] = pathlib.PurePosixPath(file).parent.name
            else:
                self._leave_out(
                    file, "is in no class: other images are in sub-folders"
                )
        return class_of

    def _leave_out(self, file, reason):
        self.unusable.append(UnusableFileError(str(self._root / file), reason))


def _is_image_or_text(path):
    return path.suffix == _TEXT_SUFFIX or path.suffix.lower() in IMAGE_SUFFIXES


def _is_class_list(file):
    return "/" not in file and file.endswith("classes.txt")


def _leaves_folder(file):
    path = pathlib.PurePosixPath(file)
    return path.is_absolute() or ".." in path.parts


def _without_suffix(file):
    return str(pathlib.PurePosixPath(file).with_suffix(""))
