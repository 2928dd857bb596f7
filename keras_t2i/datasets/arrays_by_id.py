"""One array for each image of a data set, in files of NumPy's formats."""

import contextlib
import errno
import os
import pathlib
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from keras_t2i.datasets.images import without_image_suffix
from keras_t2i.formats.npy_files import read_npy

# The array of one image. A file of few bytes can unpack to very many.
_MAX_MEMBER_BYTES = 2**26
# All arrays of a file, in its own size. Numbers of which few are not zero pack
# to some hundredths, and what is made to fill memory to a thousandth.
_MAX_EXPANSION = 100
# What NumPy uses. Others can ask for gigabytes to unpack anything.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What `zipfile` and `zlib` raise for files that are damaged.
_ZIP_ERRORS = (
    EOFError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


class ArraysById:
    """Arrays of images, each named by the image's id.

    - a `.npz` file as `numpy.savez(path, **{id: array, ...})` writes it;
    - a `.npy` file of a structured array, with the fields `id`, a string, and
      `embeddings`, the numbers;
    - a folder of `.npy` files, each at its image's id, without image suffix.

    Args:
        path: path of the file or folder.

    Attributes:
        names: list of strings. The ids, in the order of the file.

    Raises:
        ValueError: the file is damaged, or none of these.
        OSError: it can not be opened.
    """

    def __init__(self, path: str | os.PathLike):
        self._path = pathlib.Path(path)
        if self._path.is_dir():
            files = sorted(self._path.rglob("*.npy"))
            self._files = {
                file.relative_to(self._path).as_posix()[: -len(".npy")]: file
                for file in files
                if file.is_file()
            }
            self._get, self.names = self._from_folder, list(self._files)
        elif self._path.exists() and not self._path.is_file():
            # A pipe or a device, which may never end.
            raise ValueError(
                f"Expected a file or a folder. Received: {self._path}."
            )
        elif self._path.suffix == ".npz":
            self._open_zip()
        else:
            self._read_table()
        if not self.names:
            raise ValueError(
                f"{self._path} must hold an array for each image. Received: "
                "none."
            )
        if len(set(self.names)) < len(self.names):
            raise ValueError(
                f"{self._path} must name each image once. Received: "
                f"{len(self.names)} names, {len(set(self.names))} different."
            )

    def read(self, name: str) -> np.ndarray:
        """Returns the array of one image, float32 of one or two axes.

        Raises:
            ValueError: it is damaged, or no such array.
        """
        return float_array(self._get(name), f"{self._path}, {name!r},")

    def _from_folder(self, name):
        return read_npy(self._files[name].read_bytes(), self._files[name])

    def _open_zip(self):
        with self._damages_named():
            self._zip = zipfile.ZipFile(self._path)
            unpacked = sum(member.file_size for member in self._zip.infolist())
            size = self._path.stat().st_size
            if unpacked > _MAX_EXPANSION * size:
                raise ValueError(f"{unpacked} bytes in a file of {size}")
        self._get = self._from_zip
        self.names = [
            file.removesuffix(".npy") for file in self._zip.namelist()
        ]

    def _from_zip(self, name):
        with self._damages_named():
            member = self._zip.getinfo(f"{name}.npy")
            # Both are claims of the file.
            for size, most in (
                (member.file_size, _MAX_MEMBER_BYTES),
                (member.compress_size, self._path.stat().st_size),
            ):
                if size > most:
                    raise ValueError(f"{size} bytes for {name!r} of {most}")
            if member.compress_type not in _COMPRESSIONS:
                raise ValueError(f"compression {member.compress_type}")
            with self._zip.open(member) as file:
                # To the end, where its checksum is verified.
                content = file.read(_MAX_MEMBER_BYTES + 1)
        return read_npy(content, f"{self._path}, {name!r},")

    def _read_table(self):
        table = read_npy(self._path.read_bytes(), str(self._path))
        fields = table.dtype.names or ()
        if table.ndim != 1 or not {"id", "embeddings"} <= set(fields):
            raise ValueError(
                f"{self._path} must hold a structured array with the fields "
                f"`id` and `embeddings`. Received: {table.dtype} of shape "
                f"{table.shape}. A .npz file needs no fields: "
                "`numpy.savez(path, **{id: array, ...})`."
            )
        if table["id"].dtype.kind not in "US" or not table["id"].itemsize:
            raise ValueError(
                f"{self._path} must have strings as `id`. Received: "
                f"{table['id'].dtype}."
            )
        with self._damages_named():
            ids = _decoded(table["id"])
        rows = dict(zip(ids, table["embeddings"]))
        self._get, self.names = rows.__getitem__, ids

    @contextlib.contextmanager
    def _damages_named(self):
        try:
            yield
        except (*_ZIP_ERRORS, OSError) as error:
            # Of the system's errors, only this one is a damaged file's: it
            # points to a place before its start.
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise ValueError(
                f"{self._path} must be a .npz or .npy file as NumPy saves it. "
                f"Received: a damaged one ({error})."
            ) from None


def _decoded(column):
    """Strings of an array as strings of Python."""
    # From their bytes: NumPy takes code points for granted, and Python then
    # fails in ways of its own on those that are none.
    size = column.dtype.itemsize
    data = np.ascontiguousarray(column).tobytes()
    encoding = "utf-8"
    if column.dtype.kind == "U":
        encoding = "utf-32-be" if column.dtype.str[0] == ">" else "utf-32-le"
    return [
        data[start : start + size].decode(encoding).rstrip("\0")
        for start in range(0, size * len(column), size)
    ]


def float_array(array: np.ndarray, where: str) -> np.ndarray:
    """Checks the array of one image, and makes it float32.

    Args:
        array: array of shape `(dim,)` or `(num, dim)`.
        where: string. What messages call it.

    Returns:
        float32 array of the same shape.

    Raises:
        ValueError: it has another shape, or no finite numbers.
    """
    right_shape = array.ndim in (1, 2) and array.size
    if array.dtype.kind != "f" or not right_shape:
        raise ValueError(
            f"{where} must be floating point numbers of shape (dim,) or "
            f"(num, dim). Received: {array.dtype} of shape {array.shape}."
        )
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{where} must be finite. Received: NaN or infinity.")
    return array


def match_names(
    ids: Sequence[str], names: Sequence[str], path: str | os.PathLike
) -> list[str]:
    """Finds the name that a file of others has for each image.

    Tried are, in this order: names equal to the ids; both without the suffix
    of an image file; both without folders as well.

    Args:
        ids: list of strings. Of the data set's images.
        names: list of strings. Of the images in the file.
        path: path of the file, for the message.

    Returns:
        List of one name an id.

    Raises:
        ValueError: images are missing in the file.

    Example:

    >>> from keras_t2i.datasets.arrays_by_id import match_names
    >>> match_names(["image_00001"], ["jpg/image_00001.jpg"], "some.npz")
    ['jpg/image_00001.jpg']
    """
    missing = list(ids)
    for canonical in (str, without_image_suffix, _stem):
        name_of = {canonical(name): name for name in names}
        keys = [canonical(id) for id in ids]
        # Of two images of one key nobody knows which is meant.
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


def _stem(name):
    return without_image_suffix(name).rpartition("/")[2]
