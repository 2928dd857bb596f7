"""Reads arrays of NumPy and HDF5 files without trusting who wrote them."""

import contextlib
import errno
import io
import math
import mmap
import pathlib
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from keras_t2i.reading import check_hdf5_heaps
from keras_t2i.types import StrPath

# An array's header has about a hundred bytes; NumPy itself refuses more.
_MAX_HEADER = 16 * 1024
# One array. A file of few bytes can unpack to very many.
_MAX_ARRAY_BYTES = 2**26
# How many times its size an archive may unpack to. Arrays that are mostly zeros
# pack to a few hundredths, files made to fill memory to a thousandth.
_MAX_EXPANSION = 100
# What NumPy uses. Others can ask for gigabytes to unpack anything.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What `zipfile` and `zlib` raise for damaged files.
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
# The data set of a caption that holds its embedding, and that of its image.
_EMBEDDINGS, _NAME = "embeddings", "name"
_MAX_NAME_BYTES = 2**16
# What h5py raises of damaged files.
_HDF5_ERRORS = (LookupError, OSError, RuntimeError, TypeError, ValueError)


def read_npy(content: bytes, name: str) -> np.ndarray:
    """Reads the content of a `.npy` file, which messages call `name`.

    Nothing is executed, and each size in the content is compared with the
    content itself before it is used. The array holds numbers, strings, or named
    fields of them. Raises `ValueError` if the content is damaged or holds
    Python objects.
    """
    file = io.BytesIO(content[:_MAX_HEADER])
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, is_fortran, dtype = read_header(file)
    # NumPy reads the header as a Python literal, which fails in many ways.
    except Exception as error:
        raise _damaged_npy(
            name, f"a header that cannot be read ({error})"
        ) from None
    if dtype.hasobject:
        raise _damaged_npy(
            name, "Python objects, which are not read from files of others"
        )
    start = file.tell()
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != len(content) - start:
        raise _damaged_npy(
            name,
            f"{len(content) - start} bytes for shape {shape} of {dtype}",
        )
    if not dtype.itemsize:
        raise _damaged_npy(name, f"the type {dtype}")
    array = np.frombuffer(content, dtype, offset=start)
    return array.reshape(shape, order="F" if is_fortran else "C")


def _damaged_npy(name: str, received: str) -> ValueError:
    return ValueError(
        f"{name} must be a .npy file of numbers. Received: {received}. Save it "
        "again by `numpy.save`."
    )


class NpzFile:
    """The arrays of a `.npz` file, whose names are in the order of the file.

    Raises `ValueError` if the file is damaged, `OSError` if it cannot be
    opened.
    """

    def __init__(self, path: StrPath):
        self._path = pathlib.Path(path)
        with name_damages(self._path):
            self._zip = zipfile.ZipFile(self._path)
            unpacked = sum(member.file_size for member in self._zip.infolist())
            size = self._path.stat().st_size
            if unpacked > _MAX_EXPANSION * size:
                raise ValueError(f"{unpacked} bytes in a file of {size}")
        self.names = [
            file.removesuffix(".npy") for file in self._zip.namelist()
        ]

    def read(self, name: str) -> np.ndarray:
        """Returns one array.

        Raises `ValueError` if it is damaged or holds Python objects.
        """
        with name_damages(self._path):
            member = self._zip.getinfo(f"{name}.npy")
            # Both sizes are claims of the file.
            for size, most in (
                (member.file_size, _MAX_ARRAY_BYTES),
                (member.compress_size, self._path.stat().st_size),
            ):
                if size > most:
                    raise ValueError(f"{size} bytes for {name!r} of {most}")
            if member.compress_type not in _COMPRESSIONS:
                raise ValueError(f"compression {member.compress_type}")
            with self._zip.open(member) as file:
                # To the end, where its checksum is verified.
                content = file.read(_MAX_ARRAY_BYTES + 1)
        return read_npy(content, f"{self._path}, {name!r},")


@contextlib.contextmanager
def name_damages(path: StrPath) -> Iterator[None]:
    """Turns errors of damaged files into a `ValueError` that names the file."""
    try:
        yield
    except (*_ZIP_ERRORS, OSError) as error:
        # Only this error of the system means a damaged file: one that points
        # to a place before its start.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise ValueError(
            f"{path} must be a .npz or .npy file as NumPy saves it. Received: "
            f"a damaged one ({error})."
        ) from None


class HDF5File:
    """The floating point arrays of a HDF5 file, by the name of their image.

    A data set is named by its place in the file, without the leading slash. Or,
    as in the `flowers.hdf5` that several projects share, each caption has a
    group, with its embedding as `embeddings` and its image as `name`; the
    embeddings of an image are put together.

    Links to other files are not followed, and data in them are not read. Raises
    `ValueError` if the file is damaged, `OSError` if it cannot be opened.
    """

    def __init__(self, path: StrPath):
        self._path = pathlib.Path(path)
        self._places: dict[str, list[str]] = {}
        # Its own error, if it is not there.
        with self._path.open("rb") as file:
            try:
                # An empty file cannot be mapped, which is a `ValueError` too.
                check_hdf5_heaps(
                    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                )
                self._file = h5py.File(self._path, "r")
                # Each object once, whatever links there are among them.
                self._file.visititems(self._visit)
            except _HDF5_ERRORS as error:
                raise self._damaged(error) from None
        self.names = list(self._places)

    def read(self, name: str) -> np.ndarray:
        """Returns the array of one image.

        Raises `ValueError` if it is damaged, too large or in another file.
        """
        try:
            rows = [self._read(place) for place in self._places[name]]
            return np.concatenate(rows) if len(rows) > 1 else rows[0]
        except _HDF5_ERRORS as error:
            raise self._damaged(error, f", {name!r},") from None

    def _visit(self, place: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or item.dtype.kind != "f":
            return
        group, _, leaf = place.rpartition("/")
        name = place
        if leaf == _EMBEDDINGS and group:
            name = group
            image = item.parent.get(_NAME, getlink=True)
            if isinstance(image, h5py.HardLink):
                text = item.parent[_NAME]
                if _is_text(text):
                    name = text.asstr(errors="replace")[()]
        self._places.setdefault(name, []).append(place)

    def _read(self, place: str) -> np.ndarray:
        data_set = self._file[place]
        if data_set.nbytes > _MAX_ARRAY_BYTES:
            raise ValueError(f"{data_set.nbytes} bytes of {_MAX_ARRAY_BYTES}")
        if data_set.external or data_set.is_virtual:
            raise ValueError("data in another file")
        array = data_set[()]
        is_of_caption = place.endswith("/" + _EMBEDDINGS)
        return np.atleast_2d(array) if is_of_caption else array

    def _damaged(self, error: Exception, where: str = "") -> ValueError:
        return ValueError(
            f"{self._path}{where} must be arrays in HDF5. Received: damaged "
            f"ones ({error})."
        )


def _is_text(item: Any) -> bool:
    """Whether it is one string, and none that only says how large it is."""
    if not isinstance(item, h5py.Dataset) or item.shape != ():
        return False
    is_text = h5py.check_string_dtype(item.dtype) is not None
    return is_text and item.dtype.itemsize <= _MAX_NAME_BYTES
