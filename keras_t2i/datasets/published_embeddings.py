"""Embeddings and image features that others have computed, by image id."""

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from keras_t2i.datasets.images import without_image_suffix
from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.formats.array_files import HDF5File
from keras_t2i.formats.array_files import NpzFile
from keras_t2i.formats.array_files import name_damages
from keras_t2i.formats.array_files import read_npy
from keras_t2i.formats.pickled_list import read_pickled_list
from keras_t2i.formats.t7 import Table
from keras_t2i.formats.t7 import read_t7
from keras_t2i.reading import MAX_ARRAY_BYTES
from keras_t2i.reading import read_file
from keras_t2i.reading import walk
from keras_t2i.types import StrPath

STACKGAN_EMBEDDINGS = "char-CNN-RNN-embeddings.pickle"
STACKGAN_FILES = "filenames.pickle"
STACKGAN_CLASSES = "class_info.pickle"

_HDF5_SUFFIXES = (".h5", ".hdf5")
_LAYOUTS = (
    "a .npz, .h5 or .hdf5 file of arrays named by image id; a .npy file with "
    "the fields `id` and `embeddings`; a folder of .npy files named by image "
    "id; a folder of .t7 files, one per image or one per class; or a folder "
    f"with {STACKGAN_EMBEDDINGS} and {STACKGAN_FILES}, or with such folders in "
    "it"
)


@dataclasses.dataclass(frozen=True)
class PublishedEmbeddings:
    """Arrays of images, each under the name that the file has for its image.

    `names` are the images that there are arrays of. `find` returns the array
    of one, unchecked, and where it is from, for messages.
    """

    names: list[str]
    find: Callable[[str], tuple[np.ndarray, str]]

    def read(self, name: str) -> np.ndarray:
        """Returns float32 of shape `(num_captions, dim)`, or `(dim,)`.

        Raises `ValueError` if the array is damaged, or of another type or
        shape.
        """
        array, where = self.find(name)
        right_shape = array.ndim in (1, 2) and array.size
        if array.dtype.kind != "f" or not right_shape:
            raise ValueError(
                f"{where} must be floating point numbers of shape (dim,) or "
                f"(num, dim). Received: {array.dtype} of shape {array.shape}."
            )
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise ValueError(
                f"{where} must be finite. Received: NaN or infinity."
            )
        return array


def open_published_embeddings(
    path: StrPath, images_of_class: Mapping[str, Sequence[str]]
) -> PublishedEmbeddings:
    """Opens embeddings in whichever of the known layouts they have.

    Files of whole classes need `images_of_class`, the sorted ids of all images
    of each class. Raises `ValueError` if the path has no such layout or is
    damaged, `OSError` if it cannot be opened.
    """
    path = pathlib.Path(path)
    if path.suffix in (".npz", ".npy", *_HDF5_SUFFIXES):
        return arrays_by_id(path)
    if path.is_dir():
        folders = [path, path / "train", path / "test"]
        folders = [f for f in folders if (f / STACKGAN_EMBEDDINGS).exists()]
        if folders:
            return _stackgan_embeddings(folders)
        files = _files(path, ".t7")
        if files:
            # Those of an image are tables, those of a class are tensors.
            if isinstance(read_t7(files[0]), Table):
                return _torch_embeddings(path, files)
            return _torch_class_embeddings(files, images_of_class)
        if _files(path, ".npy"):
            return arrays_by_id(path)
    received = "has none of these" if path.exists() else "is not there"
    if (path / MANIFEST_FILE).is_file():
        received = f"has a {MANIFEST_FILE}: what this library has made"
    elif path.is_dir() and _files(path, ".tfrecord"):
        received = (
            f"holds shards without a {MANIFEST_FILE}, as if it was "
            "interrupted. Make it again"
        )
    raise ValueError(
        f"Expected arrays by image: {_LAYOUTS}. Received: {str(path)!r}, which "
        f"{received}."
    )


def _files(folder: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    return [
        file
        for file in walk(folder)
        if file.suffix == suffix and os.path.isfile(file)
    ]


def match_names(
    ids: Sequence[str], names: Sequence[str], path: StrPath
) -> list[str]:
    """Finds the name that a file of others has for each image.

    `ids` are the data set's images, `names` are those in the file. Tries, in
    this order: names equal to the ids; both without the suffix of an image
    file; both without folders as well. Returns one name per id. Raises
    `ValueError`, with the file's `path`, if images are missing in it.
    """
    missing = list(ids)
    for canonical in (str, without_image_suffix, _stem):
        name_of = {canonical(name): name for name in names}
        keys = [canonical(id) for id in ids]
        # If two images have one key, nobody knows which is meant.
        if len(name_of) < len(names) or len(set(keys)) < len(keys):
            continue
        missing = [id for id, key in zip(ids, keys) if key not in name_of]
        if not missing:
            return [name_of[key] for key in keys]
    some = ", ".join(repr(id) for id in missing[:3])
    raise ValueError(
        f"{path} must hold each of the {len(ids)} images of the data set. "
        f"Received: {len(names)} images, without {len(missing)} of them: "
        f"{some}{', ...' if len(missing) > 3 else ''}. Its names are like "
        f"{names[0]!r}."
    )


def _stem(name: str) -> str:
    return without_image_suffix(name).rpartition("/")[2]


def arrays_by_id(path: pathlib.Path) -> PublishedEmbeddings:
    """Opens arrays in NumPy's formats or HDF5, each named by its image's id.

    - a `.npz` file as `numpy.savez(path, **{id: array, ...})` writes it;
    - a `.npy` file of a structured array, with the fields `id`, a string, and
      `embeddings`, the numbers;
    - a folder of `.npy` files, each at its image's id, without image suffix;
    - a `.h5` or `.hdf5` file, as `HDF5File` says.

    Raises `ValueError` if the file is damaged or none of these, `OSError` if it
    cannot be opened.
    """
    get: Callable[[str], np.ndarray]
    if path.is_dir():
        files = {
            file.relative_to(path).as_posix()[: -len(".npy")]: file
            for file in _files(path, ".npy")
        }
        names, get = list(files), lambda name: _read_npy_file(files[name])
    elif path.exists() and not path.is_file():
        # A pipe or a device, which may never end.
        raise ValueError(f"Expected a file or a folder. Received: {path}.")
    elif path.suffix == ".npz":
        npz = NpzFile(path)
        names, get = npz.names, npz.read
    elif path.suffix in _HDF5_SUFFIXES:
        hdf5 = HDF5File(path)
        names, get = hdf5.names, hdf5.read
    else:
        names, rows = _read_table(path)
        get = dict(zip(names, rows)).__getitem__
    if not names:
        raise ValueError(
            f"{path} must hold an array for each image. Received: none."
        )
    if len(set(names)) < len(names):
        raise ValueError(
            f"{path} must name each image once. Received: {len(names)} names, "
            f"{len(set(names))} different."
        )
    return PublishedEmbeddings(
        names, lambda name: (get(name), f"{path}, {name!r},")
    )


def _read_npy_file(path: pathlib.Path) -> np.ndarray:
    return read_npy(read_file(path, MAX_ARRAY_BYTES), str(path))


def _read_table(path: pathlib.Path) -> tuple[list[str], np.ndarray]:
    table = _read_npy_file(path)
    fields = table.dtype.names or ()
    if table.ndim != 1 or not {"id", "embeddings"} <= set(fields):
        raise ValueError(
            f"{path} must hold a structured array with the fields `id` and "
            f"`embeddings`. Received: {table.dtype} of shape {table.shape}. A "
            ".npz file needs no fields: "
            "`numpy.savez(path, **{id: array, ...})`."
        )
    column = table["id"]
    if column.dtype.kind not in "US" or not column.dtype.itemsize:
        raise ValueError(
            f"{path} must have strings as `id`. Received: {column.dtype}."
        )
    # From their bytes: NumPy does not check code points, and Python then fails
    # in ways of its own.
    encoding = "utf-8"
    if column.dtype.kind == "U":
        encoding = "utf-32-be" if column.dtype.str[0] == ">" else "utf-32-le"
    with name_damages(path):
        ids = [
            row.tobytes().decode(encoding).rstrip("\0")
            for row in np.ascontiguousarray(column)[:, None].view("u1")
        ]
    return ids, table["embeddings"]


def _stackgan_embeddings(
    folders: Sequence[pathlib.Path],
) -> PublishedEmbeddings:
    """Opens the pickles of StackGAN, in the folders of one or several splits.

    Reference:
        - [Zhang et al., 2017](https://arxiv.org/abs/1612.03242)
    """
    places: dict[str, tuple[np.ndarray, str]] = {}
    count = 0
    for folder in folders:
        names, rows = _read_stackgan_folder(folder)
        for name, row in zip(names, rows):
            places[name] = (row, f"{folder}, {name!r},")
        count += len(names)
    if len(places) < count or not count:
        raise ValueError(
            f"{STACKGAN_FILES} in {' and '.join(map(str, folders))} must name "
            f"each image once. Received: {count} names, {len(places)} "
            "different."
        )
    return PublishedEmbeddings(list(places), places.__getitem__)


def _read_stackgan_folder(
    folder: pathlib.Path,
) -> tuple[list[str], list[np.ndarray]]:
    lists = {
        name: read_pickled_list(folder / name)
        for name in (STACKGAN_EMBEDDINGS, STACKGAN_FILES, STACKGAN_CLASSES)
        if name != STACKGAN_CLASSES or (folder / name).exists()
    }
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"The pickles in {folder} must be of as many images. Received: "
            f"{lengths}."
        )
    arrays, files = lists[STACKGAN_EMBEDDINGS], lists[STACKGAN_FILES]
    path = folder / STACKGAN_EMBEDDINGS
    if not all(isinstance(array, np.ndarray) for array in arrays):
        raise ValueError(
            f"{path} must hold a list of arrays. Received: others among them."
        )
    # A few bytes can stand for one large array very often.
    if sum(array.nbytes for array in arrays) > path.stat().st_size:
        raise ValueError(
            f"{path} must hold an array of its own for each image. Received: "
            "one array several times."
        )
    path = folder / STACKGAN_FILES
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
    names = [
        file.decode("utf-8", "replace") if isinstance(file, bytes) else file
        for file in files
    ]
    return names, arrays


def _torch_embeddings(
    folder: pathlib.Path, files: Sequence[pathlib.Path]
) -> PublishedEmbeddings:
    """Opens .t7 files, one per image, as the GAN's authors published them.

    Each holds a table with the embeddings as `txt`. Names are relative to the
    folder.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396)
    """
    file_of = {
        file.relative_to(folder).with_suffix("").as_posix(): file
        for file in files
    }

    def find(name: str) -> tuple[np.ndarray, str]:
        path = file_of[name]
        table = read_t7(path)
        embeddings = table.get(b"txt") if isinstance(table, Table) else None
        if not isinstance(embeddings, np.ndarray):
            raise ValueError(
                f"{path} must hold a table with a tensor `txt`. Received: "
                f"{type(embeddings).__name__}."
            )
        return embeddings, str(path)

    return PublishedEmbeddings(list(file_of), find)


def _torch_class_embeddings(
    files: Sequence[pathlib.Path],
    images_of_class: Mapping[str, Sequence[str]],
) -> PublishedEmbeddings:
    """Opens .t7 files, one per class, as the encoder's authors published them.

    Each is named after its class, and holds a tensor of shape
    `(num_images, dim, num_captions)`, its images in the order of their names.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395)
    """
    images_of = {_class_key(name): ids for name, ids in images_of_class.items()}
    # The file of each image, its row in it, and how many rows there are.
    places: dict[str, tuple[pathlib.Path, int, int]] = {}
    for path in files:
        ids = images_of.get(_class_key(path.stem), ())
        for row, id in enumerate(ids):
            if id in places:
                # Such as image features beside the embeddings.
                raise ValueError(
                    "There must be one .t7 file for each class. Received: "
                    f"{places[id][0]} and {path}, both named after one. Name "
                    "the folder of the embeddings alone."
                )
            places[id] = (path, row, len(ids))
    if not places:
        raise ValueError(
            f"{files[0].parent} must hold a .t7 file for each class of the "
            f"data set. Received: files like {files[0].name}, and classes "
            f"like {next(iter(images_of_class), 'none')!r}."
        )
    # Images are read class by class.
    read_class = functools.lru_cache(maxsize=1)(_read_class)

    def find(name: str) -> tuple[np.ndarray, str]:
        path, row, num_images = places[name]
        array = read_class(path)
        if len(array) != num_images:
            raise ValueError(
                f"{path} must have a row for each of the {num_images} images "
                "that the data set has of this class, in the order of their "
                f"names. Received: {len(array)} rows."
            )
        return array[row].T, f"{path}, row {row},"

    return PublishedEmbeddings(list(places), find)


def _read_class(path: pathlib.Path) -> np.ndarray:
    array = read_t7(path)
    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3):
        raise ValueError(
            f"{path} must hold a tensor of shape (num_images, dim, "
            f"num_captions). Received: {type(array).__name__} of shape "
            f"{getattr(array, 'shape', None)}."
        )
    if array.dtype.kind != "f":
        raise ValueError(
            f"{path} must hold embeddings, floating point numbers. Received: "
            f"{array.dtype}, as of character or word ids. Embed the captions "
            "by --text-encoder."
        )
    return array


def _class_key(name: str) -> str | int:
    """The number that a name begins with, as the rest is not always alike."""
    number = re.match(r"0*(\d{1,9})\.", name)
    return int(number[1]) if number else name
