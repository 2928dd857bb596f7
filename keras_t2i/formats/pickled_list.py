"""Pickled lists: read without running anything in them, and written."""

import io
import math
import os
import pathlib
import pickle
import struct
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_t2i.reading import MAX_ARRAY_BYTES
from keras_t2i.reading import open_file
from keras_t2i.types import StrPath

# About 100 bytes each at most; the published file of COCO, the largest, has
# some 80,000 arrays with some 30 instructions each.
_MAX_INSTRUCTIONS = 4_000_000
# Each row of an array becomes an object, of some 100 bytes too.
_MAX_ROWS = 1_000_000
# Of numbers and other words that are written as text. Strings may be longer.
_MAX_WORD = 100

# The instructions of protocols 0 to 5 that such lists need, by `pickletools`.
# So many bytes follow them:
_FIXED = {
    **dict.fromkeys(b"(0N\x88\x89]ael)t\x85\x86\x87\x94\x93Rb", 0),
    **{**dict.fromkeys(b"\x80Kqh", 1), **dict.fromkeys(b"M", 2)},
    **{**dict.fromkeys(b"Jrj", 4), **dict.fromkeys(b"G", 8)},
}
# A number of so many bytes, and then as many bytes as it says:
_COUNTED = {
    **dict.fromkeys(b"\x8aUC\x8c", 1),
    **{**dict.fromkeys(b"TBX", 4), **dict.fromkeys(b"\x8e\x96\x8d", 8)},
}
# So many lines:
_LINES = {**dict.fromkeys(b"ILFpgSV", 1), **dict.fromkeys(b"c", 2)}
_LONG, _FRAME, _STOP = b"\x8a\x95."
_STRINGS, _PUTS = b"SV", b"pqr"
# As long as a frame's instruction: what is pushed here is popped again.
_NOTHING = b"N0N0N0K\x000"

_DTYPES = ("b1", *(k + n for k in "iu" for n in "1248"), "f2", "f4", "f8")
_BYTE_ORDERS = ("<", ">", "=", "|")


def read_pickled_list(path: StrPath) -> list:
    """Reads a pickled list of numbers, strings and arrays.

    A pickle is a program that builds values. Here only the instructions that
    lists, tuples, numbers, strings and NumPy arrays of numbers need are
    allowed. None may take more memory than the file has bytes, and no class or
    function that the file names is ever looked up. Pickles of Python 2 and 3
    are read. Strings of Python 2 are `bytes`. Reading takes twice the memory of
    the file, plus at most 400 MB if it holds many tiny values. Raises
    `ValueError` if the file is damaged, no pickle, or holds something else,
    `OSError` if it cannot be opened or read.

    Example:

    >>> import pathlib, tempfile
    >>> from keras_t2i.formats.pickled_list import read_pickled_list
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "class_info.pickle"
    >>> _ = path.write_bytes(b"(lp0\\nI7\\naI9\\na.")
    >>> read_pickled_list(path)
    [7, 9]
    """
    path = pathlib.Path(path)
    # A pipe or a device has no size to compare with, and may never end.
    if path.exists() and not path.is_file():
        raise ValueError(
            f"Expected a pickle. Received: {path}, which is no regular file."
        )
    with open_file(path, MAX_ARRAY_BYTES) as opened:
        data = bytearray(os.fstat(opened.fileno()).st_size)
        opened.readinto(data)
    try:
        _check_instructions(data)
        size = len(data)
        # One copy in memory, not two.
        file = io.BytesIO(data)
        del data
        return _as_list(_Unpickler(file, size).load())
    # `pickle` raises errors of many kinds for damaged files.
    except Exception as error:
        raise ValueError(
            f"{path} must be a pickled list of numbers, strings and arrays. "
            "Received: a file that is damaged, or holds something else "
            f"({error!s:.300}). Get it again."
        ) from error


def _check_instructions(data: bytearray) -> None:
    """Refuses instructions that are unknown, or too large for the file.

    `Unpickler` trusts the sizes in the file, so a few bytes could make it ask
    for gigabytes. `pickletools.genops` would not do: before Python 3.12.8 it
    fails at the bytes of arrays in Python 2's own protocol.

    Frames are taken out of `data`. They only make reading faster, and one that
    ends within an instruction would make `Unpickler` see other instructions
    than are checked here.
    """
    offset = 0
    for count in range(_MAX_INSTRUCTIONS):
        start, offset = offset, offset + 1
        if start >= len(data):
            raise _error(start, "an instruction beyond the end of the file")
        code = data[start]
        if code in _FIXED:
            offset += _FIXED[code]
        elif code in _COUNTED:
            argument, offset = offset, offset + _COUNTED[code]
            num_bytes = int.from_bytes(data[argument:offset], "little")
            # No class has a larger number, nor has anything else in such lists.
            if code == _LONG and num_bytes > 8:
                raise _error(start, f"a number of {num_bytes} bytes")
            offset += num_bytes
        elif code in _LINES:
            for _ in range(_LINES[code]):
                limit = len(data) if code in _STRINGS else offset + _MAX_WORD
                offset = data.find(b"\n", offset, limit) + 1
                if not offset:
                    raise _error(start, "a line without end, or a long word")
        elif code == _FRAME:
            data[start : start + 9] = _NOTHING
            offset += 8
        elif code == _STOP:
            if offset < len(data):
                raise _error(offset, "more, behind the end of the list")
            return
        else:
            raise _error(start, f"the instruction {bytes([code])!r}")
        if offset >= len(data):
            raise _error(start, "an instruction beyond the end of the file")
        # `Unpickler` has a place for each index up to the largest one.
        if code in _PUTS and _index(bytes(data[start:offset])) > count:
            raise _error(start, "a value to keep at a place that is too large")
    raise ValueError(f"more than {_MAX_INSTRUCTIONS} instructions")


def _index(instruction: bytes) -> float:
    argument = instruction[1:]
    if instruction[:1] != b"p":
        return int.from_bytes(argument, "little")
    # Digits alone, which `Unpickler` reads as the same number.
    return int(argument) if argument[:-1].isdigit() else math.inf


def _error(offset: int, received: str) -> ValueError:
    return ValueError(f"byte {offset}: {received}")


class _Unpickler(pickle.Unpickler):
    """Builds arrays by functions of its own, and nothing else."""

    def __init__(self, file: io.BytesIO, size: int):
        # Strings of Python 2 are bytes.
        super().__init__(file, encoding="bytes")
        # Bounds the bytes of all texts and arrays: the file could use one text
        # or the bytes of one array again and again.
        self._bytes_left = {"text": size, "arrays": size}

    def find_class(self, module: str, name: str) -> Any:
        # The names of Python 2 and 3 and of NumPy 1 and 2.
        match f"{module} {name}".replace("numpy._core.", "numpy.core."):
            case "numpy.core.multiarray _reconstruct":
                return self._new_array
            case "numpy.core.multiarray scalar":
                return self._scalar
            case "numpy.core.numeric _frombuffer":
                return self._array_from_bytes
            case "numpy dtype":
                return _Type
            case "_codecs encode":
                return self._encode
            case "numpy ndarray":
                return None  # Only ever an argument of `_reconstruct`.
        raise ValueError(f"it names {module!r:.50} {name!r:.50}")

    def _new_array(self, *unused: object) -> "_Array":
        array = np.empty(0, "i1").view(_Array)
        array.check = self._checked
        return array

    def _scalar(self, type_: object, data: object) -> float:
        dtype, content = self._checked((), type_, data)
        return np.frombuffer(content, dtype)[0].item()

    def _array_from_bytes(
        self,
        data: object,
        type_: object,
        shape: Any,
        order: Any,
        axes: Any = None,
    ) -> np.ndarray:
        order = _as_text(order)
        if order not in ("C", "F", "K") or (order == "K") != bool(axes):
            raise ValueError("an array in another order than C, F or K")
        dtype, content = self._checked(shape, type_, data)
        array = np.frombuffer(content, dtype).view(_Array)
        if order == "K":
            # Written with the axes sorted by their strides.
            return array.reshape(shape).transpose(axes)
        return array.reshape(shape, order=order)

    def _encode(self, text: object, encoding: object) -> bytes:
        """The way in which Python 3 writes bytes for Python 2."""
        if not isinstance(text, str) or _as_text(encoding) != "latin1":
            raise ValueError("something else than text to encode as latin1")
        self._take(len(text), "text")
        return text.encode("latin-1")

    def _checked(
        self, shape: object, type_: object, data: object
    ) -> tuple[np.dtype, bytes]:
        """Returns the NumPy type and the bytes of an array, if they fit."""
        if isinstance(data, str):
            # A Python 2 pickle that Python 3 has written again.
            data = self._encode(data, "latin1")
        if (
            not isinstance(type_, _Type)
            or not isinstance(data, (bytes, bytearray))
            or not isinstance(shape, tuple)
            or len(shape) > 8
            or not all(type(side) is int and side > 0 for side in shape)
            or math.prod(shape) * type_.dtype.itemsize != len(data)
        ):
            raise ValueError("an array whose type, shape and bytes do not fit")
        self._take(len(data), "arrays")
        return type_.dtype, bytes(data)

    def _take(self, num_bytes: int, kind: str) -> None:
        self._bytes_left[kind] -= num_bytes
        if self._bytes_left[kind] < 0:
            raise ValueError(f"{kind} of more bytes than the file has")


class _Type:
    """A NumPy type, whose byte order comes after its name."""

    def __init__(self, name: object, *unused: object):
        name = _as_text(name)
        if name not in _DTYPES:
            raise ValueError(f"an array of the type {name!r:.40}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple) -> None:
        order: Any = _as_text(state[1])
        # No fields, no shape, no item size of its own.
        if order not in _BYTE_ORDERS or state[2:5] != (None, None, None):
            raise ValueError("an array of something else than plain numbers")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array whose numbers may come after its creation, but only once."""

    check: Callable[[object, object, object], tuple[np.dtype, bytes]]

    def __setstate__(self, state: Any) -> None:
        check = self.__dict__.pop("check", None)
        if check is None:
            raise ValueError("the numbers of something else than a new array")
        _, shape, dtype, is_fortran, data = state
        dtype, data = check(shape, dtype, data)
        # NumPy would swap the bytes, and forget their order.
        native = dtype.newbyteorder("=")
        new_state: Any = (1, shape, native, bool(is_fortran), data)
        super().__setstate__(new_state)
        self.dtype = dtype  # type: ignore[misc]


def _as_list(value: object) -> list:
    value = _whole(value)
    if isinstance(value, np.ndarray) and value.ndim:
        # One array for all images is a list of theirs.
        if len(value) > _MAX_ROWS:
            raise ValueError(f"more than {_MAX_ROWS} rows")
        return list(value)
    if not isinstance(value, list):
        raise ValueError(f"{type(value).__name__} in place of a list")
    value[:] = map(_whole, value)
    return value


def _whole(value: object) -> object:
    if not isinstance(value, _Array):
        return value
    if "check" in vars(value):
        raise ValueError("an array without numbers")
    return value.view(np.ndarray)


def _as_text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else None


# What follows writes protocol 2 by hand: a pickle made by Python 3 names
# modules that NumPy did not have in the days of Python 2.
_FLOAT32 = (
    b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
    b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
_NEW_ARRAY = (
    b"cnumpy.core.multiarray\n_reconstruct\n"
    b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
)


def write_pickled_list(
    path: StrPath, items: Iterable[int | str | np.ndarray]
) -> None:
    """Writes a pickled list that Python 2 and 3 read.

    Arrays have two axes and are written as float32. One item at a time is in
    memory. Raises `OSError` if the file cannot be written.
    """
    with open(path, "wb") as file:
        file.write(b"\x80\x02]")
        for item in items:
            if isinstance(item, np.ndarray):
                file.write(_pickled_array(item))
            elif isinstance(item, str):
                # Bytes in Python 2, and text in either if it is not ASCII.
                code = b"T" if item.isascii() else b"X"
                file.write(_sized(code, item.encode("utf-8")))
            else:
                file.write(b"J" + struct.pack("<i", item))
            file.write(b"a")
        file.write(b".")


def _pickled_array(array: np.ndarray) -> bytes:
    shape = b"".join(b"J" + struct.pack("<i", size) for size in array.shape)
    data = _sized(b"T", array.astype("<f4").tobytes())
    return b"".join(
        [_NEW_ARRAY, b"(K\x01", shape, b"\x86", _FLOAT32, b"\x89", data, b"tb"]
    )


def _sized(code: bytes, data: bytes) -> bytes:
    return code + struct.pack("<i", len(data)) + data
