"""Embeddings that others have computed, in the layouts they come in."""

import os
import pathlib
import re
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from keras_t2i.datasets.arrays_by_id import ArraysById
from keras_t2i.datasets.arrays_by_id import float_array
from keras_t2i.formats.pickled_list import read_pickled_list
from keras_t2i.formats.t7 import read_t7
from keras_t2i.formats.torch_values import Table

STACKGAN_EMBEDDINGS = "char-CNN-RNN-embeddings.pickle"
STACKGAN_FILES = "filenames.pickle"
STACKGAN_CLASSES = "class_info.pickle"

_LAYOUTS = (
    "a .npz file of arrays named by image id; a .npy file with the fields `id` "
    "and `embeddings`; a folder of .npy files named by image id; a folder of "
    ".t7 files, one an image or one a class; or a folder with "
    f"{STACKGAN_EMBEDDINGS} and {STACKGAN_FILES}, or with such folders in it"
)


class PublishedEmbeddings(Protocol):
    """What embeddings are read through.

    Attributes:
        names: list of strings. The images that there are embeddings of.
    """

    names: Sequence[str]

    def read(self, name: str) -> np.ndarray:
        """Returns float32 of shape `(num_captions, dim)`, or `(dim,)`.

        Raises:
            ValueError: it is damaged.
        """


def open_published_embeddings(
    path: str | os.PathLike, images_of_class: Mapping[str, Sequence[str]]
) -> PublishedEmbeddings:
    """Opens embeddings in whichever of the known layouts they have.

    Args:
        path: path of a file or folder.
        images_of_class: mapping of class names to the sorted ids of all their
            images, for files of whole classes.

    Returns:
        `PublishedEmbeddings`.

    Raises:
        ValueError: it has no such layout, or is damaged.
        OSError: it can not be opened.
    """
    path = pathlib.Path(path)
    if path.suffix in (".npz", ".npy"):
        return ArraysById(path)
    if path.is_dir():
        folders = [path, path / "train", path / "test"]
        folders = [f for f in folders if (f / STACKGAN_EMBEDDINGS).exists()]
        if folders:
            return StackGANEmbeddings(folders)
        files = sorted(path.rglob("*.t7"))
        if files:
            # Those of an image are tables, those of a class are tensors.
            if isinstance(read_t7(files[0]), Table):
                return TorchEmbeddings(path, files)
            return TorchClassEmbeddings(files, images_of_class)
        if next(path.rglob("*.npy"), None) is not None:
            return ArraysById(path)
    raise ValueError(
        f"Expected arrays by image: {_LAYOUTS}. Received: {str(path)!r}, which "
        + ("has none of these." if path.exists() else "is not there.")
    )


class StackGANEmbeddings:
    """The pickles of StackGAN, of one or several splits.

    Args:
        folders: list of paths, each of a folder with
            `char-CNN-RNN-embeddings.pickle` and `filenames.pickle`; a
            `class_info.pickle` beside them must be of as many images.

    Raises:
        ValueError: a file is damaged, or they do not fit each other.

    Reference:
        - [Zhang et al., 2017](https://arxiv.org/abs/1612.03242)
    """

    def __init__(self, folders: Sequence[pathlib.Path]):
        self._rows = {}
        count = 0
        for folder in folders:
            path = folder / STACKGAN_EMBEDDINGS
            rows = read_pickled_list(path)
            files = read_pickled_list(folder / STACKGAN_FILES)
            lengths = {
                STACKGAN_EMBEDDINGS: len(rows),
                STACKGAN_FILES: len(files),
            }
            if (folder / STACKGAN_CLASSES).exists():
                classes = read_pickled_list(folder / STACKGAN_CLASSES)
                lengths[STACKGAN_CLASSES] = len(classes)
            if len(set(lengths.values())) > 1:
                raise ValueError(
                    f"The pickles in {folder} must be of as many images. "
                    f"Received: {lengths}."
                )
            if not all(isinstance(array, np.ndarray) for array in rows):
                raise ValueError(
                    f"{path} must hold a list of arrays. Received: others "
                    "among them."
                )
            # A few bytes can stand for one large array very often.
            if sum(array.nbytes for array in rows) > path.stat().st_size:
                raise ValueError(
                    f"{path} must hold an array of its own for each image. "
                    "Received: one array several times."
                )
            names = _names_of_files(files, folder / STACKGAN_FILES)
            self._rows.update(zip(names, rows))
            count += len(names)
        if len(self._rows) < count or not count:
            raise ValueError(
                f"{STACKGAN_FILES} in {folders[0]} must name each image once. "
                f"Received: {count} names, {len(self._rows)} different."
            )
        self.names = list(self._rows)
        self._where = folders[0]

    def read(self, name: str) -> np.ndarray:
        """Returns the embeddings of one image."""
        return float_array(self._rows[name], f"{self._where}, {name!r},")


class TorchEmbeddings:
    """A folder of .t7 files, one an image, as the GAN's authors gave them.

    Each holds a table with the embeddings as `txt`.

    Args:
        folder: path. Names are relative to it.
        files: list of paths.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396)
    """

    def __init__(self, folder: pathlib.Path, files: Sequence[pathlib.Path]):
        self._files = {
            file.relative_to(folder).with_suffix("").as_posix(): file
            for file in files
        }
        self.names = list(self._files)

    def read(self, name: str) -> np.ndarray:
        """Returns the embeddings of one image."""
        path = self._files[name]
        table = read_t7(path)
        embeddings = table.get(b"txt") if isinstance(table, Table) else None
        if not isinstance(embeddings, np.ndarray):
            raise ValueError(
                f"{path} must hold a table with a tensor `txt`. Received: "
                f"{type(embeddings).__name__}."
            )
        return float_array(embeddings, str(path))


class TorchClassEmbeddings:
    """A folder of .t7 files, one a class, as the encoder's authors gave them.

    Each holds a tensor of shape `(num_images, dim, num_captions)`, its images
    in the order of their names.

    Args:
        files: list of paths, each named after its class.
        images_of_class: mapping of class names to the sorted ids of all their
            images.

    Raises:
        ValueError: no file is of a class, or several are of one.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395)
    """

    def __init__(
        self,
        files: Sequence[pathlib.Path],
        images_of_class: Mapping[str, Sequence[str]],
    ):
        images_of = {
            _class_key(name): ids for name, ids in images_of_class.items()
        }
        self._places = {}
        for path in files:
            ids = images_of.get(_class_key(path.stem), ())
            for place, id in enumerate(ids):
                if id in self._places:
                    # Such as features of images beside the embeddings.
                    raise ValueError(
                        "There must be one .t7 file for each class. Received: "
                        f"{self._places[id][0]} and {path}, both named after "
                        "one. Name the folder of the embeddings alone."
                    )
                self._places[id] = (path, place, len(ids))
        if not self._places:
            raise ValueError(
                f"{files[0].parent} must hold a .t7 file for each class of the "
                f"data set. Received: files like {files[0].name}, and classes "
                f"like {next(iter(images_of_class), 'none')!r}."
            )
        self.names = list(self._places)
        self._read = (None, None)

    def read(self, name: str) -> np.ndarray:
        """Returns the embeddings of one image."""
        path, place, num_images = self._places[name]
        if self._read[0] != path:
            array = read_t7(path)
            if not isinstance(array, np.ndarray) or array.ndim not in (2, 3):
                raise ValueError(
                    f"{path} must hold a tensor of shape (num_images, dim, "
                    f"num_captions). Received: {type(array).__name__} of shape "
                    f"{getattr(array, 'shape', None)}."
                )
            if array.dtype.kind != "f":
                raise ValueError(
                    f"{path} must hold embeddings, floating point numbers. "
                    f"Received: {array.dtype}, as of character or word ids. "
                    "Embed the captions by --text-encoder."
                )
            self._read = (path, array)
        array = self._read[1]
        if len(array) != num_images:
            raise ValueError(
                f"{path} must have a row for each of the {num_images} images "
                "that the data set has of this class, in the order of their "
                f"names. Received: {len(array)} rows."
            )
        return float_array(array[place].T, f"{path}, row {place},")


def _names_of_files(files, path):
    for file in files:
        if not isinstance(file, (bytes, str)):
            raise ValueError(
                f"{path} must hold a list of strings. Received: "
                f"{type(file).__name__} among them."
            )
    # As with arrays: each name would take memory of its own below.
    if sum(map(len, files)) > path.stat().st_size:
        raise ValueError(
            f"{path} must hold a name of its own for each image. Received: one "
            "name several times."
        )
    return [
        file.decode("utf-8", "replace") if isinstance(file, bytes) else file
        for file in files
    ]


def _class_key(name):
    """The number that some names begin with: the rest is not always alike."""
    number = re.match(r"0*(\d{1,9})\.", name)
    return int(number[1]) if number else name
