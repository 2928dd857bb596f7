"""How raw files of one or several data sets are read, and split."""

import collections
import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras_t2i.captions import caption_damage
from keras_t2i.captions import is_utf8
from keras_t2i.captions import usable_captions
from keras_t2i.datasets.images import CropOf
from keras_t2i.datasets.images import read_image
from keras_t2i.datasets.images import stored_side
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.reading import UnusableFileError
from keras_t2i.reading import read_text
from keras_t2i.types import StrPath

# What a source's `read` needs to find one example, as JSON values.
Key = tuple


class Source:
    """Raw captioned images, as `prepare` reads them.

    A source lists its files when it is made, and reads them only in `read`.
    That may run in another process, so a source must be picklable. Its pickle
    leaves out the listing.

    `name` is that of the manifest. `class_names` are empty without classes.
    `unusable` says what the listing left out, such as an image without
    captions, and `notes` what users should know of how files were understood.
    """

    name: str

    def __init__(self) -> None:
        self.class_names: list[str] = []
        self.unusable: list[UnusableFileError] = []
        self.notes: list[str] = []
        self._splits: dict[str, list[Key]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Another process only reads. With the whole listing it would start
        # late, and the listing would be in memory once per process.
        return {**self.__dict__, "_splits": None, "unusable": None}

    def splits(self) -> dict[str, list[Key]]:
        """Returns the keys of each split, in the order they are written."""
        return self._splits

    def caption_file(self, key: Key) -> pathlib.Path | None:
        """Returns the file with an example's captions.

        `None` if the key has them, or makes them.
        """
        return None

    def read(self, key: Key, image_size: int) -> CaptionedImage:
        """Reads one example, its image ready for models of `image_size`.

        Raises:
            UnusableFileError: the image or its captions cannot be used.
        """
        raise NotImplementedError

    def _read_files(
        self,
        key: Key,
        image_size: int,
        id: str,
        image: pathlib.Path,
        *,
        class_name: str = "",
        captions: Sequence[str] = (),
        crop_of: CropOf | None = None,
    ) -> CaptionedImage:
        """Reads the image of an example, and its captions if a file has them.

        `class_name` is for sources with classes.
        """
        left_out: tuple[UnusableFileError, ...] = ()
        caption_file = self.caption_file(key)
        if caption_file is not None:
            captions, left_out = read_captions(caption_file)
        return CaptionedImage(
            id=id,
            image=read_image(image, stored_side(image_size), crop_of),
            captions=tuple(captions),
            class_id=(
                self.class_names.index(class_name) if self.class_names else -1
            ),
            left_out=left_out,
        )

    def _nothing_found(
        self, expected: str, received: str = "none"
    ) -> ValueError:
        """Makes the error of a source without examples."""
        reason = f" ({self.unusable[0]})" if self.unusable else ""
        return ValueError(
            f"Expected images in {expected}. Received: {received}{reason}."
        )

    def _leave_out(self, file: object, reason: str, num_files: int = 1) -> None:
        self.unusable.append(UnusableFileError(str(file), reason, num_files))

    def _split_examples(
        self,
        class_of: Mapping[str, str | None],
        *list_dirs: pathlib.Path,
        class_named: Callable[[str], str] = str,
    ) -> dict[str, list[str]]:
        """Divides examples as `split_examples` does; leaves out the others."""
        splits = split_examples(class_of, *list_dirs, class_named=class_named)
        for path in _misspelt_class_lists(list_dirs):
            self._leave_out(path, f"is no class list: {_LIST_NAMES}")
        left_out = set(class_of).difference(*splits.values())
        counts = collections.Counter(str(class_of[id]) for id in left_out)
        for name, count in sorted(counts.items()):
            self._leave_out(
                f"class {name}",
                f"is in no class list, so its {count} images are not used",
                count,
            )
        return splits


def existing_folder(path: StrPath, what: str) -> pathlib.Path:
    """Returns the path of a folder, or raises `ValueError` if it is none."""
    path = pathlib.Path(path)
    if not path.is_dir():
        raise ValueError(
            f"Expected {what}. Received: {str(path)!r}, which is no folder."
        )
    return path


def without_suffix(file: str) -> str:
    """Returns a file's name, with its folders, without the suffix."""
    return str(pathlib.PurePosixPath(file).with_suffix(""))


def read_captions(
    path: StrPath,
) -> tuple[tuple[str, ...], tuple[UnusableFileError, ...]]:
    """Reads a text file with one caption per line, at least one usable.

    Returns also an error for each line that could not be used. Raises
    `UnusableFileError` if the file cannot be read or has no usable caption.
    """
    try:
        # Not `splitlines`, which also cuts at characters such as U+2028.
        lines = read_text(path).split("\n")
    except OSError as error:
        raise UnusableFileError(str(path), str(error.strerror)) from None
    left_out = [
        UnusableFileError(f"{path} line {number}", damage)
        for number, line in enumerate(lines, start=1)
        if (damage := caption_damage(line)) is not None
    ]
    captions = usable_captions(lines)
    if not captions:
        raise UnusableFileError(
            str(path),
            f"has no usable caption ({left_out[0]})"
            if left_out
            else "has no usable caption",
        )
    return captions, tuple(left_out)


# The first file of a split that exists counts. Archives hold all of them, and
# `trainvalclasses.txt` then only repeats two others.
_CLASS_LIST_FILES = {
    "train": ("trainclasses.txt", "trainvalclasses.txt"),
    "val": ("valclasses.txt",),
    "test": ("testclasses.txt",),
}
_LIST_NAMES = (
    "they are called trainclasses.txt, valclasses.txt, testclasses.txt and "
    "trainvalclasses.txt"
)
# Lists that were meant to be read, such as `valClasses.txt`.
_LIKE_A_CLASS_LIST = re.compile(
    r"(train|trainval|val|valid|validation|test)[-_ ]?class(es)?(\.txt)*",
    re.IGNORECASE,
)


def is_like_class_list(name: str) -> bool:
    """Whether the name of a file is that of a class list, or misspelt."""
    return _LIKE_A_CLASS_LIST.fullmatch(name) is not None


def split_examples(
    class_of: Mapping[str, str | None],
    *list_dirs: StrPath,
    class_named: Callable[[str], str] = str,
) -> dict[str, list[str]]:
    """Divides examples into splits.

    With class lists (`trainclasses.txt`, `valclasses.txt`, `testclasses.txt`),
    each split has the classes of its list, and classes in no list are left
    out. Without `trainclasses.txt`, `trainvalclasses.txt` is the list of
    `train`. Without any list, `test` has the tenth of the examples whose ids
    have the lowest SHA-256, and `train` the others.

    `class_of` maps ids to class names, or to `None` without classes. Of
    `list_dirs` the first that holds any lists, of one class name per line,
    counts. `class_named` maps a name in a list to that in `class_of`. The ids
    of a split are sorted. Raises `ValueError` if a list is empty, not UTF-8,
    names a class that no example has or that another list has too, or there is
    none for `train`; or if the training images are all of one class.

    Example:

    >>> from keras_t2i.datasets.source import split_examples
    >>> class_of = {f"{number}.jpg": None for number in range(20)}
    >>> split_examples(class_of, "no/class/lists/here")["test"]
    ['0.jpg', '19.jpg']
    """
    lists = {}
    for list_dir in map(pathlib.Path, list_dirs):
        lists = _read_class_lists(list_dir, set(class_of.values()), class_named)
        if lists:
            break
    if lists:
        splits = {
            split: sorted(id for id in class_of if class_of[id] in names)
            for split, names in lists.items()
        }
    else:
        splits = _split_by_hash(class_of)
    check_several_classes({class_of[id] for id in splits["train"]})
    return splits


def check_several_classes(train_classes: Collection[str | None]) -> None:
    """Raises `ValueError` if no mismatching text can come from another class.

    `train_classes` are the class names in the `train` split; `None` stands for
    no classes at all.
    """
    if len(train_classes) == 1 and None not in train_classes:
        raise ValueError(
            "Expected training images of at least two classes, since "
            "mismatching text comes from another class. Received: one class "
            f"only, {list(train_classes)[0]!r}. Train with `--preset gan`, "
            "which needs no mismatching text. Prepare the images without "
            "classes for it: `keras-t2i prepare folder`, with all of them in "
            "one flat folder."
        )


def _split_by_hash(ids: Collection[str]) -> dict[str, list[str]]:
    by_hash = sorted(
        ids, key=lambda id: hashlib.sha256(os.fsencode(id)).digest()
    )
    num_test = (len(by_hash) + 5) // 10
    splits = {"train": by_hash[num_test:], "test": by_hash[:num_test]}
    # Too few images give no test split.
    return {split: sorted(ids) for split, ids in splits.items() if ids}


def _read_class_lists(
    list_dir: pathlib.Path,
    known_classes: Collection[str | None],
    class_named: Callable[[str], str],
) -> dict[str, set[str]]:
    lists = {}
    list_of_class: dict[str, pathlib.Path] = {}
    paths = _find_class_lists(list_dir)
    for split, path in paths.items():
        lists[split] = set(map(class_named, _read_class_list(path)))
        for name in sorted(lists[split]):
            if name not in known_classes:
                raise ValueError(
                    f"{path} must name classes that have captioned images. "
                    f"Received: {name!r}. Remove it from the list or add its "
                    "images and captions."
                )
            other = list_of_class.setdefault(name, path)
            if other != path:
                raise ValueError(
                    "Class lists must have no class in common. Received: "
                    f"{name!r} in both {other} and {path}. Remove it from one."
                )
    if lists and "train" not in lists:
        raise ValueError(
            "Class lists must include "
            f"{' or '.join(_CLASS_LIST_FILES['train'])}. Received: only "
            f"{[path.name for path in paths.values()]} in {list_dir}. Add it, "
            "or remove the others."
            + "".join(
                f" Is {path.name} meant for it?"
                for path in _misspelt_class_lists([list_dir])
            )
        )
    return lists


def _find_class_lists(list_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    paths: dict[str, pathlib.Path] = {}
    for split, files in _CLASS_LIST_FILES.items():
        for path in map(list_dir.joinpath, files):
            if path.is_file():
                paths.setdefault(split, path)
    return paths


def has_class_lists(list_dir: pathlib.Path) -> bool:
    """Whether a folder holds class lists."""
    return bool(_find_class_lists(list_dir))


def _misspelt_class_lists(
    list_dirs: Iterable[pathlib.Path],
) -> list[pathlib.Path]:
    right = {file for files in _CLASS_LIST_FILES.values() for file in files}
    return [
        path
        for folder in dict.fromkeys(list_dirs)
        for path in sorted(folder.iterdir() if folder.is_dir() else ())
        if is_like_class_list(path.name) and path.name not in right
    ]


def _read_class_list(path: pathlib.Path) -> set[str]:
    text = read_text(path)
    if not is_utf8(text):
        raise ValueError(
            f"{path} must be UTF-8 text. Received: bytes that are not."
        )
    names = {line.strip() for line in text.split("\n")} - {""}
    if not names:
        raise ValueError(
            f"{path} must name at least one class. Received: no class names. "
            "Add them, one per line, or remove the file."
        )
    return names


class SeveralSources(Source):
    """Several sources, prepared as one data set.

    Each keeps its splits. The name of its source comes before an image's id,
    and before its class.

    Args:
        sources: mapping of names to `Source`.

    Raises:
        ValueError: there is none, or some have classes and others do not.

    Example:

    >>> blooms = {
    ...     str(seed): keras_t2i.datasets.BloomsSource(num_images=10, seed=seed)
    ...     for seed in (1, 2)
    ... }
    >>> both = keras_t2i.datasets.SeveralSources(blooms)
    >>> [both.read(key, 32).id for key in both.splits()["test"]]
    ['1/test-000000', '2/test-000000']
    """

    def __init__(self, sources: Mapping[str, Source]):
        super().__init__()
        if not sources:
            raise ValueError(
                "`sources` must hold at least one source, by its name. "
                f"Received: {sources!r}"
            )
        if len({bool(s.class_names) for s in sources.values()}) != 1:
            names = {
                has: ", ".join(
                    repr(n)
                    for n, s in sources.items()
                    if bool(s.class_names) == has
                )
                for has in (True, False)
            }
            raise ValueError(
                "All sources must have classes, or none of them. Received: "
                f"{names[True]} with classes, {names[False]} without. Prepare "
                "them on their own, or move the images of each into one folder."
            )
        for name in sources:
            if "/" in name:
                raise ValueError(
                    "The name of a source must hold no slash, which separates "
                    f"it from names of its own. Received: {name!r}"
                )
        self._sources = dict(sources)
        self.name = next(iter(sources.values())).name
        for name, source in sources.items():
            self.class_names += [f"{name}/{c}" for c in source.class_names]
            self.unusable += source.unusable
            self.notes += [f"{name}: {note}" for note in source.notes]
            for split, keys in source.splits().items():
                self._splits.setdefault(split, []).extend(
                    (name, *key) for key in keys
                )

    def caption_file(self, key: Key) -> pathlib.Path | None:
        """Returns the file with the captions of one example."""
        name, *rest = key
        return self._sources[name].caption_file(tuple(rest))

    def read(self, key: Key, image_size: int) -> CaptionedImage:
        """Reads one example of one of the sources."""
        name, *rest = key
        source = self._sources[name]
        record = source.read(tuple(rest), image_size)
        class_id = record.class_id
        if self.class_names:
            class_name = f"{name}/{source.class_names[class_id]}"
            class_id = self.class_names.index(class_name)
        return dataclasses.replace(
            record, id=f"{name}/{record.id}", class_id=class_id
        )
