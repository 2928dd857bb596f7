"""Reads the weights of PyTorch networks, and runs nothing from the file."""

import io
import math
import pathlib
import pickletools
from collections.abc import Sequence
from typing import Any
from typing import BinaryIO

import numpy as np

from keras_t2i.types import StrPath

# What `torch.save` of a `state_dict` wrote before its zip files.
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
# Of the instructions before the numbers: about 100 bytes for each array.
_MAX_PICKLE_BYTES = 2**24
_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def read_pytorch_weights(path: StrPath) -> dict[str, np.ndarray]:
    """Reads a `state_dict` in PyTorch's file format before version 1.6.

    The file is a sequence of pickles, followed by the numbers. A pickle is a
    program. Its instructions are carried out one by one here; only those that
    build a `state_dict` are allowed, and nothing is imported. PyTorch is not
    needed.

    Args:
        path: path of the file.

    Returns:
        dict of names to arrays of float32 or int64.

    Raises:
        ValueError: the file is damaged, has another format, or calls anything
            else.
        OSError: the file cannot be opened or read.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(
            f"Expected a file of PyTorch weights. Received: {path}, which is "
            "not a regular file."
        )
    size = path.stat().st_size
    with path.open("rb") as file:
        head = io.BytesIO(file.read(min(size, _MAX_PICKLE_BYTES)))
        try:
            if _load(head) != _MAGIC_NUMBER or _load(head) != _PROTOCOL:
                raise ValueError("it does not begin as such files do")
            _load(head)  # Sizes of the machine that wrote the file.
            entries, keys = _load(head), _load(head)
            file.seek(head.tell())
            storages = _read_storages(file, entries, keys, size)
            return {
                name: tensor.array(storages) for name, tensor in entries.items()
            }
        # Whatever a damaged file makes of the steps above.
        except Exception as error:
            raise ValueError(
                f"{path} must hold PyTorch weights (a `state_dict`). "
                f"Received: a file that cannot be read: {error!s:.200}."
            ) from error


class _Tensor:
    """What a file says of a tensor; the numbers come later."""

    def __init__(
        self,
        storage: Any,
        offset: Any,
        shape: Sequence[Any],
        strides: Sequence[Any],
        *unused: Any,
    ):
        if not isinstance(storage, _Storage):
            raise ValueError("a tensor without a storage")
        self.storage = storage
        self.offset = _whole(offset)
        self.shape = tuple(map(_whole, shape))
        self.strides = tuple(map(_whole, strides))

    def array(self, storages: dict[str, np.ndarray]) -> np.ndarray:
        numbers = storages[self.storage.key]
        count = math.prod(self.shape)
        last = sum((n - 1) * k for n, k in zip(self.shape, self.strides))
        # Strides of 0 could also make more numbers than the storage has.
        if count > len(numbers) or self.offset + last >= len(numbers):
            raise ValueError(
                f"a tensor of shape {self.shape} in {len(numbers)}"
            )
        return np.lib.stride_tricks.as_strided(
            numbers[self.offset :],
            self.shape,
            [k * numbers.itemsize for k in self.strides],
        ).copy()


class _Storage:
    def __init__(self, kind: str, key: Any, count: Any):
        self.kind, self.key, self.count = kind, _text(key), _whole(count)


# Only numbers and texts of the file are shown or hashed: a tuple that holds
# itself many times over would take for ever.
def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**40:
        shown = value if type(value) is int else type(value).__name__
        raise ValueError(f"{shown!s:.40} in place of a size")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"{type(value).__name__} in place of a name")
    return value


def _new_dict() -> dict[str, Any]:
    return {}


def _storage(pid: Sequence[Any]) -> _Storage:
    kind, storage, key, _, count = pid[:5]
    if _text(kind) != "storage" or _text(storage) not in _STORAGES:
        raise ValueError(f"{kind:.30} {storage:.30} in place of a storage")
    return _Storage(storage, key, count)


_GLOBALS: dict[str, Any] = {
    "collections OrderedDict": _new_dict,
    "torch._utils _rebuild_tensor_v2": _Tensor,
    **{f"torch {name}": name for name in _STORAGES},
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS_AND_TEXTS = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


def _load(file: BinaryIO) -> Any:
    """Carries out the instructions of one pickle; returns what they build."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def pop(count: int) -> list[Any]:
        start = len(stack) - count
        if start < 0 or any(value is _MARK for value in stack[start:]):
            raise ValueError("an instruction without values")
        values = stack[start:]
        del stack[start:]
        return values

    def pop_to_mark() -> list[Any]:
        values = []
        while stack[-1] is not _MARK:
            values.append(stack.pop())
        stack.pop()
        return values[::-1]

    argument: Any
    for instruction, argument, _ in pickletools.genops(file):
        name = instruction.name
        if name == "PROTO":
            pass
        elif name == "STOP":
            return pop(1)[0]
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _NUMBERS_AND_TEXTS:
            stack.append(argument)
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "GLOBAL":
            if argument not in _GLOBALS:
                raise ValueError(f"it names {argument:.100}")
            stack.append(_GLOBALS[argument])
        elif name in _TUPLES:
            stack.append(tuple(pop(_TUPLES[name])))
        elif name == "TUPLE":
            stack.append(tuple(pop_to_mark()))
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "BINPERSID":
            stack.append(_storage(*pop(1)))
        elif name == "REDUCE":
            function, arguments = pop(2)
            if function not in (_new_dict, _Tensor):
                raise ValueError("a call of something that is not a function")
            stack.append(function(*arguments))
        elif name == "BUILD":
            # Notes of PyTorch about the modules.
            pop(1)
            if type(stack[-1]) is not dict:
                raise ValueError("a tensor with attributes")
        elif name in ("APPEND", "APPENDS"):
            values = pop(1) if name == "APPEND" else pop_to_mark()
            if type(stack[-1]) is not list:
                raise ValueError("something else than a list")
            stack[-1].extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = pop(2) if name == "SETITEM" else pop_to_mark()
            if type(stack[-1]) is not dict:
                raise ValueError("something else than a dict")
            stack[-1].update(zip(map(_text, values[::2]), values[1::2]))
        else:
            raise ValueError(f"the instruction {name}")
    raise ValueError("it is cut off")


def _read_storages(
    file: BinaryIO, entries: Any, keys: Any, size: int
) -> dict[str, np.ndarray]:
    if not isinstance(entries, dict) or not all(
        isinstance(name, str) and isinstance(tensor, _Tensor)
        for name, tensor in entries.items()
    ):
        raise ValueError("it holds something else than named tensors")
    kinds = {tensor.storage.key: tensor.storage for tensor in entries.values()}
    storages = {}
    if type(keys) is not list:
        raise ValueError("it does not list its storages")
    for key in keys:
        storage = kinds[_text(key)]
        count = int.from_bytes(file.read(8), "little")
        dtype = np.dtype(_STORAGES[storage.kind])
        if count != storage.count or count * dtype.itemsize > size:
            raise ValueError(f"a storage of {count} numbers")
        data = file.read(count * dtype.itemsize)
        if len(data) < count * dtype.itemsize:
            raise ValueError("it is cut off")
        storages[key] = np.frombuffer(data, dtype)
    return storages
