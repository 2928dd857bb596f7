"""Reads arrays of HDF5 files without trusting who wrote them."""

import pathlib
from typing import Any

import h5py
import numpy as np

from keras_t2i.types import StrPath

# The data set of a caption that holds its embedding, and that of its image.
_EMBEDDINGS, _NAME = "embeddings", "name"
# One array. A file of few bytes can unpack to very many.
_MAX_ARRAY_BYTES = 2**26
_MAX_NAME_BYTES = 2**16
# What h5py raises of damaged files.
_DAMAGE = (LookupError, OSError, RuntimeError, TypeError, ValueError)


class HDF5File:
    """The floating point arrays of a HDF5 file, by the name of their image.

    A data set is named by its place in the file, without the leading slash.
    Or, as in the `flowers.hdf5` that several projects share, each caption has
    a group, with its embedding as `embeddings` and its image as `name`; the
    embeddings of an image are put together.

    Links to other files are not followed, and data in them are not read.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be opened.
    """

    def __init__(self, path: StrPath):
        self._path = pathlib.Path(path)
        self._places: dict[str, list[str]] = {}
        # Its own error, if it is not there.
        with self._path.open("rb"):
            pass
        try:
            self._file = h5py.File(self._path, "r")
            # Each object once, whatever links there are among them.
            self._file.visititems(self._visit)
        except _DAMAGE as error:
            raise self._damaged(error) from None
        self.names = list(self._places)

    def read(self, name: str) -> np.ndarray:
        """Returns the array of one image.

        Raises:
            ValueError: it is damaged, too large or in another file.
        """
        try:
            rows = [self._read(place) for place in self._places[name]]
            return np.concatenate(rows) if len(rows) > 1 else rows[0]
        except _DAMAGE as error:
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
