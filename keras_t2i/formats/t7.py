"""Reads Torch's binary .t7 files, and runs nothing from them."""

import dataclasses
import io
import math
import os
import pathlib
import struct
import types
from collections.abc import Generator

import numpy as np

from keras_t2i.reading import MAX_ARRAY_BYTES
from keras_t2i.reading import open_file
from keras_t2i.types import StrPath

_NIL, _NUMBER, _STRING, _TABLE, _TORCH, _BOOLEAN = range(6)
_FUNCTION = 8
_OLD_FUNCTION = 7

# The nodes of a published text encoder's graph hold one another: a hundred of
# them nest, or a thousand if Lua wrote their fields in an unlucky order, with
# some ten thousand values. The limits bound the memory of many tiny values,
# about 100 bytes each.
_MAX_DEPTH = 10_000
_MAX_VALUES = 1_000_000
_MAX_DIMENSIONS = 32
# In bytes. An expanded tensor repeats its elements, with a stride of 0. It
# takes no memory here, but a copy of it would.
_MAX_EXPANSION = 2**24

_NUMBER_TYPES = {
    "Byte": "<u1",
    "Char": "<i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
    "Float": "<f4",
    "Double": "<f8",
}


def _array_classes(ending: str) -> dict[str, np.dtype]:
    classes = {}
    for name, dtype in _NUMBER_TYPES.items():
        cuda_name = "Cuda" if name == "Float" else f"Cuda{name}"
        for prefix in (name, cuda_name):
            classes[f"torch.{prefix}{ending}"] = np.dtype(dtype)
    return classes


_TENSORS = _array_classes("Tensor")
_STORAGES = _array_classes("Storage")


class Table(dict):
    """A Lua table: a dict that can be the key of another, by identity.

    Lua has no lists: a list is a table with the keys 1, 2, ..., and its
    strings are `bytes`.
    """

    __slots__ = ()
    __hash__ = object.__hash__  # type: ignore[assignment]


@dataclasses.dataclass(eq=False, slots=True)
class TorchObject:
    """An object of a Torch class, such as `nn.Linear`: its fields alone.

    The class, named as in the file, is never looked up. Names of fields are
    `bytes`.
    """

    class_name: str
    # Networks are large, and refer to themselves.
    fields: Table = dataclasses.field(repr=False)


class LuaFunction:
    """Stands for a function in the file, whose code is not read."""


def read_t7(path: StrPath) -> object:
    """Reads a binary .t7 file, such as those of `torch.save`.

    Each size in the file is compared with what is left of the file before it
    is used, and no class or function is looked up or run. Reading takes as
    much memory as the file is large, plus at most 200 MiB if it holds many
    tiny values.

    Args:
        path: path of the file.

    Returns:
        The value in the file:

        - nil, numbers, booleans and strings: `None`, float, bool, `bytes`;
        - a table: a `Table`, in which a key that is a boolean is `(True,)` or
          `(False,)`;
        - tensors and storages: NumPy arrays, which share memory where the file
          shares storages;
        - an object of any other class: a `TorchObject`;
        - a function: a `LuaFunction`.

        What the file refers to twice is one object, so tables and objects may
        hold themselves.

    Raises:
        ValueError: the file is damaged, no binary .t7 file, or not supported.
        OSError: the file cannot be opened or read.

    Example:

    >>> import pathlib, struct, tempfile
    >>> from keras_t2i.torch_files import read_t7
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "number.t7"
    >>> _ = path.write_bytes(struct.pack("<id", 1, 0.5))
    >>> read_t7(path)
    0.5
    """
    path = pathlib.Path(path)
    with open_file(path, MAX_ARRAY_BYTES) as file:
        return _Reader(file, path).read()


class _Reader:
    def __init__(self, file: io.BufferedReader, path: pathlib.Path):
        self._file = file
        self._path = path
        self._size = os.fstat(file.fileno()).st_size
        self._offset = 0
        self._num_values = 0
        # (type, class name, value) of the references 1, 2, ..., which Torch
        # gives in the order in which it writes what they refer to.
        self._references: list[tuple[int, str | None, object]] = []

    def read(self) -> object:
        start = self._file.peek(2)[:2]
        if start[:1].isdigit() and start[1:].isspace():
            raise ValueError(
                f"Expected a binary .t7 file. Received: {self._path}, which "
                "has Torch's ASCII format. Save it again with "
                "`torch.save(path, object, 'binary')`."
            )
        value = self._read_nested()
        if self._offset < self._size:
            raise self._error(
                self._offset,
                "the end of the file",
                f"{self._size - self._offset} more bytes",
            )
        return value

    def _read_nested(self) -> object:
        # Without recursion, which Python limits to fewer levels than graphs
        # have: a container is a generator that yields for each value in it.
        containers: list[Generator[None, object, object]] = []
        value = self._read_value()
        while True:
            if isinstance(value, types.GeneratorType):
                if len(containers) == _MAX_DEPTH:
                    raise self._error(
                        self._offset,
                        f"at most {_MAX_DEPTH} nested tables and objects",
                        "one more",
                    )
                containers.append(value)
                value = None
            elif not containers:
                return value
            try:
                containers[-1].send(value)
            except StopIteration as finished:
                containers.pop()
                value = finished.value
            else:
                value = self._read_value()

    def _read_value(self) -> object:
        """Returns a value, or a generator that fills one and returns it."""
        start = self._offset
        self._num_values += 1
        if self._num_values > _MAX_VALUES:
            raise self._error(
                start, f"at most {_MAX_VALUES} values", "one more"
            )
        value_type = self._int()
        if value_type == _NIL:
            return None
        if value_type == _NUMBER:
            return self._unpack("<d")[0]
        if value_type == _STRING:
            return self._string()
        if value_type == _BOOLEAN:
            return self._boolean()
        if value_type == _OLD_FUNCTION:
            value_type = _FUNCTION
        if value_type not in (_TABLE, _TORCH, _FUNCTION):
            raise self._error(
                start, "a value of type 0 to 5, 7 or 8", f"type {value_type}"
            )
        known = self._known_reference(value_type)
        if known is not None:
            return known[-1]
        if value_type == _TABLE:
            return self._table()
        if value_type == _TORCH:
            return self._torch_value(start)
        return self._function()

    def _known_reference(self, value_type: int) -> tuple | None:
        """Reads a reference, and returns its entry, or None if it is new."""
        start = self._offset
        number = self._int()
        num_known = len(self._references)
        if number == num_known + 1:
            return None
        if not 1 <= number <= num_known:
            raise self._error(
                start, f"a reference from 1 to {num_known + 1}", number
            )
        known = self._references[number - 1]
        if known[0] != value_type:
            raise self._error(
                start,
                f"a reference to a value of type {value_type}",
                f"{number}, a reference to a value of type {known[0]}",
            )
        return known

    def _table(self) -> Generator[None, object, Table]:
        table = Table()
        self._references.append((_TABLE, None, table))
        start = self._offset
        num_pairs = self._int()
        # The shortest pair is a boolean and a nil.
        self._check_left(start, num_pairs, 12, "pairs")
        for _ in range(num_pairs):
            start = self._offset
            key = yield
            if (
                key is None
                or isinstance(key, np.ndarray)
                or (isinstance(key, float) and math.isnan(key))
            ):
                raise self._error(
                    start,
                    "a key that is a string, number, boolean, table or object",
                    _shown(key),
                )
            if isinstance(key, bool):
                # To Python, True is 1, which may be another key of the table.
                key = (key,)
            if key in table:
                raise self._error(
                    start, "different keys", f"{_shown(key)} twice"
                )
            value = yield
            if value is not None:
                table[key] = value
        return table

    def _torch_value(self, start: int) -> object:
        class_name = self._class_name()
        if class_name in _TENSORS:
            return self._tensor(class_name)
        if class_name in _STORAGES:
            return self._storage(class_name)
        # These have layouts of their own; all others are written as tables.
        if class_name.startswith(("torch.", "tds.")):
            raise self._error(
                start, "a class that can be read", repr(class_name[:40])
            )
        return self._object(class_name)

    def _object(self, class_name: str) -> Generator[None, object, TorchObject]:
        torch_object = TorchObject(class_name, Table())
        self._references.append((_TORCH, class_name, torch_object))
        start = self._offset
        fields = yield
        if not isinstance(fields, Table):
            raise self._error(
                start,
                f"the fields of {class_name[:40]!r} as a table",
                type(fields).__name__,
            )
        torch_object.fields = fields
        return torch_object

    def _function(self) -> Generator[None, object, LuaFunction]:
        function = LuaFunction()
        self._references.append((_FUNCTION, None, function))
        size = self._size_of_string()
        self._file.seek(size, io.SEEK_CUR)
        self._offset += size
        # What the code refers to is read, since later values may be in it.
        yield
        return function

    def _tensor(self, class_name: str) -> np.ndarray:
        dtype = _TENSORS[class_name]
        # Nothing can refer to it yet: its storage has another class.
        self._references.append((_TORCH, class_name, None))
        place = len(self._references) - 1
        start = self._offset
        num_dimensions = self._int()
        if not 0 <= num_dimensions <= _MAX_DIMENSIONS:
            raise self._error(
                start, f"0 to {_MAX_DIMENSIONS} dimensions", num_dimensions
            )
        sizes = self._unpack(f"<{num_dimensions}q")
        strides = self._unpack(f"<{num_dimensions}q")
        first = self._unpack("<q")[0] - 1
        storage = self._storage_of_tensor(class_name)
        if num_dimensions == 0:
            tensor = np.empty(0, dtype)
        else:
            last = first + sum(
                (size - 1) * stride for size, stride in zip(sizes, strides)
            )
            num_bytes = math.prod(sizes) * dtype.itemsize
            if (
                min(sizes) < 1
                or min(strides) < 0
                or not 0 <= first <= last < storage.size
                or num_bytes > self._size + _MAX_EXPANSION
            ):
                raise self._error(
                    start,
                    f"a tensor within a storage of {storage.size} numbers",
                    f"sizes {sizes}, strides {strides}, first {first + 1}",
                )
            tensor = np.ndarray(
                sizes,
                dtype,
                storage,
                first * dtype.itemsize,
                # The stride of a single element has no meaning, nor a limit.
                [
                    stride * dtype.itemsize if size > 1 else dtype.itemsize
                    for size, stride in zip(sizes, strides)
                ],
            )
        self._references[place] = (_TORCH, class_name, tensor)
        return tensor

    def _storage_of_tensor(self, tensor_class: str) -> np.ndarray:
        storage_class = tensor_class.removesuffix("Tensor") + "Storage"
        start = self._offset
        value_type = self._int()
        if value_type == _NIL:
            return np.empty(0, _STORAGES[storage_class])
        class_name, storage = f"a value of type {value_type}", None
        if value_type == _TORCH:
            known = self._known_reference(_TORCH)
            if known is not None:
                _, class_name, storage = known
            else:
                class_name = self._class_name()
        if class_name != storage_class:
            raise self._error(
                start, f"the storage of a {tensor_class}", class_name[:40]
            )
        if storage is None:
            storage = self._storage(class_name)
        return storage

    def _storage(self, class_name: str) -> np.ndarray:
        dtype = _STORAGES[class_name]
        start = self._offset
        (num_items,) = self._unpack("<q")
        self._check_left(start, num_items, dtype.itemsize, "numbers")
        storage = np.empty(num_items, dtype)
        if self._file.readinto(storage.data) != storage.nbytes:
            raise self._shrunk()
        self._offset += storage.nbytes
        self._references.append((_TORCH, class_name, storage))
        return storage

    def _class_name(self) -> str:
        name = self._string()
        # Files from before Torch had versions begin with the class itself.
        if name.startswith(b"V "):
            name = self._string()
        return name.decode("ascii", "backslashreplace")

    def _boolean(self) -> bool:
        start = self._offset
        number = self._int()
        if number not in (0, 1):
            raise self._error(start, "a boolean, 0 or 1", number)
        return number == 1

    def _string(self) -> bytes:
        return self._take(self._size_of_string())

    def _size_of_string(self) -> int:
        start = self._offset
        size = self._int()
        self._check_left(start, size, 1, "bytes")
        return size

    def _int(self) -> int:
        return self._unpack("<i")[0]

    def _unpack(self, layout: str) -> tuple:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))

    def _take(self, num_bytes: int) -> bytes:
        self._check_left(self._offset, num_bytes, 1, "bytes")
        data = self._file.read(num_bytes)
        if len(data) != num_bytes:
            raise self._shrunk()
        self._offset += num_bytes
        return data

    def _check_left(self, start: int, count: int, size: int, what: str) -> None:
        left = self._size - self._offset
        if not 0 <= count * size <= left:
            raise self._error(
                start, f"{what} for which {left} bytes are left", count
            )

    def _shrunk(self) -> ValueError:
        return self._error(
            self._offset, f"a file of {self._size} bytes", "a shorter one"
        )

    def _error(
        self, offset: int, expected: str, received: object
    ) -> ValueError:
        return ValueError(
            f"{self._path}, byte {offset}: expected {expected}. Received: "
            f"{received}. The file is damaged or no binary .t7 file: get it "
            "again."
        )


def _shown(key: object) -> str:
    """A key for a message, or the name of its type if the key may be long."""
    if isinstance(key, bytes):
        return repr(key[:40])
    # The parts of a table or tensor may be more than memory can hold.
    is_short = isinstance(key, (float, tuple))
    return repr(key) if is_short else type(key).__name__
