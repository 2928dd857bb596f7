"""Any folder of images with captions."""

import collections
import os
import pathlib
from collections.abc import Iterable
from collections.abc import Mapping

from keras_t2i.captions import is_utf8
from keras_t2i.captions import usable_captions
from keras_t2i.datasets.caption_tables import TABLE_READERS
from keras_t2i.datasets.caption_tables import has_header
from keras_t2i.datasets.caption_tables import match_images
from keras_t2i.datasets.images import IMAGE_SUFFIXES
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import Source
from keras_t2i.datasets.source import check_several_classes
from keras_t2i.datasets.source import existing_folder
from keras_t2i.datasets.source import has_class_lists
from keras_t2i.datasets.source import is_like_class_list
from keras_t2i.datasets.source import without_suffix
from keras_t2i.reading import walk
from keras_t2i.types import StrPath

_TEXT_SUFFIX = ".txt"
# The splits that folders of these names are.
_SPLIT_FOLDERS = {
    "train": "train",
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    "test": "test",
}


class CaptionedFolder(Source):
    """A folder of images, with captions in a table or in text files.

    - `captions.jsonl`: lines of `{"file": "a.jpg", "captions": ["...", ...]}`
      or `{"file": "a.jpg", "caption": "..."}`;
    - `captions.csv`: the header `file,caption`, then one caption per row;
    - `metadata.jsonl` or `metadata.csv` with `file_name` and `text`, as in the
      image folders of Hugging Face, here or in each split's folder;
    - `captions.txt` with the header `image,caption`, as in Flickr8k;
    - `a.txt` beside `a.jpg`: one caption per line.

    `file` is relative to the table's folder; an image may have several lines or
    rows. Folders that are called `train`, `val` or `test` are splits. The
    folder of an image, relative to `source_dir` or to its split's folder, is
    its class, unless all images are in one. Class lists (`trainclasses.txt`,
    `valclasses.txt`, `testclasses.txt`) in the folder make the splits too.
    Without either a tenth of the images is for testing. Names that start with
    a dot are ignored, and links that leave the folder are not followed.

    Args:
        source_dir: path of the folder.

    Raises:
        ValueError: there is no captioned image, there are captions in two
            layouts, folders of splits and of classes are beside each other, or
            the class lists do not match.
    """

    name = "folder"

    def __init__(self, source_dir: StrPath):
        super().__init__()
        self._root = existing_folder(
            source_dir, "a folder of images with captions"
        )
        # Of images without suffix, those that do not end in .txt.
        self._other_texts: dict[str, str] = {}
        captions_of = self._list_captions()
        self._split_of = _split_folders(captions_of)
        class_of = self._classify(captions_of)
        if not class_of:
            raise self._nothing_found(
                f"{self._root} with captions in captions.jsonl, in "
                "captions.csv or in a .txt file beside each image",
                "no image that has captions",
            )
        self.class_names = sorted(
            name for name in set(class_of.values()) if name is not None
        )
        self._splits = {
            split: [(file, captions_of[file]) for file in files]
            for split, files in self._divide(class_of).items()
        }

    def caption_file(self, key: Key) -> pathlib.Path | None:
        """Returns the file beside an image, unless a table has its captions."""
        file, captions = key
        if captions is not None:
            return None
        stem = without_suffix(file)
        return self._root / self._other_texts.get(stem, stem + _TEXT_SUFFIX)

    def read(self, key: Key, image_size: int) -> CaptionedImage:
        """Reads one image with its captions."""
        file, captions = key
        return self._read_files(
            key,
            image_size,
            file,
            self._root / file,
            class_name=self._class_folder(file),
            captions=captions or (),
        )

    def _list_captions(self) -> dict[str, tuple[str, ...] | None]:
        """Pairs images with captions, or with None if a text file has them."""
        files = self._list_files()
        images = [file for file in files if not _is_text(file)]
        tables = self._find_tables()
        if tables:
            captions_of = self._read_tables(tables, set(images))
            stems = set(map(without_suffix, images))
            texts = set(map(without_suffix, set(files).difference(images)))
            if texts & stems:
                self.notes.append(
                    f"captions are read from {tables[0].name}, and not from "
                    f"{len(texts & stems)} .txt files beside images"
                )
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
        for path in walk(self._root, self.unusable):
            file = path.relative_to(self._root)
            # Of a path that is too long, these functions say no.
            is_link = os.path.islink(path)
            if os.path.isdir(path):
                if is_link:
                    self._leave_out_file(file, "is a link to a folder")
            elif path.suffix.lower() not in (_TEXT_SUFFIX, *IMAGE_SUFFIXES):
                continue
            elif not os.path.isfile(path):
                self._leave_out_file(file, "is no regular file")
            elif is_link and not path.resolve().is_relative_to(root):
                self._leave_out_file(file, "is a link that leaves the folder")
            elif not is_utf8(str(file)):
                self._leave_out_file(file, "has a name that is not UTF-8")
            else:
                files.append(file.as_posix())
        return files

    def _find_tables(self) -> list[pathlib.Path]:
        """Finds the table of the folder, or those of its splits."""
        splits = [
            path
            for path in sorted(self._root.iterdir())
            if path.name.lower() in _SPLIT_FOLDERS and not path.is_symlink()
        ]
        tables = [
            folder / name
            for folder in (self._root, *splits)
            for name in TABLE_READERS
            if (folder / name).is_file()
            # Elsewhere it holds the captions of an image of this name.
            and (name != "captions.txt" or has_header(folder / name))
        ]
        folders = {table.parent for table in tables}
        if len(tables) > 1 and (
            self._root in folders or len(folders) < len(tables)
        ):
            raise ValueError(
                "Expected captions in one file. Received: "
                f"{[str(t.relative_to(self._root)) for t in tables]} in "
                f"{self._root}. Remove one of them."
            )
        return tables

    def _read_tables(
        self, tables: Iterable[pathlib.Path], images: set[str]
    ) -> dict[str, tuple[str, ...] | None]:
        captions_of: dict[str, tuple[str, ...] | None] = {}
        for table in tables:
            found, unusable = TABLE_READERS[table.name](table)
            self.unusable += unusable
            prefix = table.parent.relative_to(self._root).as_posix() + "/"
            prefix = prefix.removeprefix("./")
            named = {prefix + file: texts for file, texts in found.items()}
            # Names are relative to the table.
            below = {
                image.removeprefix(prefix)
                for image in images
                if image.startswith(prefix)
            }
            image_of = {
                prefix + file: prefix + image
                for file, image in match_images(found, below).items()
            }
            merged: dict[str, list[str]] = {}
            for file, image in image_of.items():
                merged.setdefault(image, []).extend(named[file])
            for file in named:
                if file in image_of:
                    image = image_of[file]
                    captions_of[image] = usable_captions(merged[image])
                    if not captions_of[image]:
                        self._leave_out_file(
                            image, f"({table.name}) has no usable caption"
                        )
                elif _leaves_folder(file):
                    self._leave_out_file(
                        file, f"({table.name}) leaves the folder"
                    )
                else:
                    self._leave_out_file(
                        file, f"({table.name}) is no image in the folder"
                    )
        return captions_of

    def _pair_with_texts(
        self, images: list[str], files: list[str]
    ) -> dict[str, tuple[str, ...] | None]:
        texts: dict[str, str] = {}
        # Those in .txt first.
        for file in sorted(files, key=lambda f: not f.endswith(_TEXT_SUFFIX)):
            if _is_text(file) and ("/" in file or not is_like_class_list(file)):
                text = texts.setdefault(without_suffix(file), file)
                if text != file:
                    self._leave_out_file(
                        file, f"its image has captions in {text} already"
                    )
        self._other_texts = {
            stem: file
            for stem, file in texts.items()
            if not file.endswith(_TEXT_SUFFIX)
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
        """Pairs files with classes, or with None if all are in one folder."""
        folder_of = {file: self._class_folder(file) for file in files}
        if len(set(folder_of.values()) - {""}) < 2:
            return dict.fromkeys(folder_of)
        for file, folder in folder_of.items():
            if not folder:
                self._leave_out_file(
                    file, "is in no class: other images are in sub-folders"
                )
        return {file: folder for file, folder in folder_of.items() if folder}

    def _class_folder(self, file: str) -> str:
        """The folder of a file, relative to that of its split if it has one."""
        top, _, rest = file.partition("/")
        return (rest if top in self._split_of else file).rpartition("/")[0]

    def _divide(
        self, class_of: Mapping[str, str | None]
    ) -> dict[str, list[str]]:
        """Divides files by the class lists, by folders or by chance."""
        if not self._split_of or has_class_lists(self._root):
            # A list may name the last folder of a class alone.
            last = collections.Counter(map(_last_folder, self.class_names))
            whole = {
                _last_folder(name): name
                for name in self.class_names
                if last[_last_folder(name)] == 1
            }
            return self._split_examples(
                class_of,
                self._root,
                class_named=lambda name: (
                    name if name in self.class_names else whole.get(name, name)
                ),
            )
        self.notes.append(
            f"splits: the folders {', '.join(sorted(self._split_of))}"
        )
        splits: dict[str, list[str]] = {
            split: []
            for split in ("train", "val", "test")
            if split in self._split_of.values()
        }
        for file in sorted(class_of):
            split = self._split_of.get(file.partition("/")[0])
            if split is None:
                self._leave_out_file(
                    file, "is in no split: other images are in their folders"
                )
            else:
                splits[split].append(file)
        check_several_classes({class_of[file] for file in splits["train"]})
        return splits

    def _leave_out_file(self, file: StrPath, reason: str) -> None:
        self._leave_out(self._root / file, reason)


def _is_text(file: str) -> bool:
    return file.lower().endswith(_TEXT_SUFFIX)


def _split_folders(files: Iterable[str]) -> dict[str, str]:
    """Pairs folders with the splits that they are called after, if any."""
    folders = {file.partition("/")[0] for file in files if "/" in file}
    splits = {
        folder: _SPLIT_FOLDERS[folder.lower()]
        for folder in folders
        if folder.lower() in _SPLIT_FOLDERS
    }
    # One alone is a class that happens to be called so.
    if len(splits) < 2:
        return {}
    if splits.keys() != folders or "train" not in splits.values():
        raise ValueError(
            "Expected folders that are either splits, train among them, or "
            f"classes. Received: {sorted(folders)}. Rename or move some of "
            "them."
        )
    return splits


def _last_folder(class_name: str) -> str:
    return class_name.rpartition("/")[2]


def _leaves_folder(file: str) -> bool:
    path = pathlib.PurePosixPath(file)
    return path.is_absolute() or ".." in path.parts
