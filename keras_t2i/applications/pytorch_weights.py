"""Reads the weights of PyTorch networks, and runs nothing from the file."""

import io
import math
import os
import pathlib
import pickle
import pickletools

import numpy as np

# What `torch.save` of a `state_dict` wrote before its zip files.
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
# The instructions before the numbers: some 100 bytes for each array.
_MAX_PICKLE_BYTES = 2**24
_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def read_pytorch_weights(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads a `state_dict` in PyTorch's file format before version 1.6.

    The file is a sequence of pickles, followed by the numbers. A pickle is a
    program: its instructions are inspected before it is loaded, and the only
    names that it may call are those that build a `state_dict`. PyTorch is not
    needed.

    Args:
        path: path of the file.

    Returns:
        dict of names to arrays of float32 or int64.

    Raises:
        ValueError: the file is damaged, is in another format, or calls
            anything else.
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
        head = io.BytesIO(file.read(_MAX_PICKLE_BYTES))
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


class _StateDict(dict):
    """The named tensors, without the attributes that PyTorch gives them."""

    def __setstate__(self, state):
        pass


class _Tensor:
    """What a file says of a tensor; the numbers come later."""

    def __setstate__(self, state):
        raise ValueError("a tensor with attributes")

    def __init__(self, storage, offset, shape, strides, *unused):
        self.storage = storage
        self.offset = _whole(offset)
        self.shape = tuple(map(_whole, shape))
        self.strides = tuple(map(_whole, strides))

    def array(self, storages):
        numbers = storages[self.storage.key]
        count = math.prod(self.shape)
        last = sum((n - 1) * k for n, k in zip(self.shape, self.strides))
        # Neither beyond the storage nor, by strides of 0, more than it holds.
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
    def __init__(self, kind, key, count):
        self.kind, self.key, self.count = kind, str(key), _whole(count)


def _whole(value):
    if type(value) is not int or not 0 <= value < 2**40:
        raise ValueError(f"{value!r:.40} in place of a size")
    return value


class _Unpickler(pickle.Unpickler):
    # In place of what the file names: nothing is imported.
    _NAMES = {
        ("collections", "OrderedDict"): _StateDict,
        ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
        **{("torch", name): name for name in _STORAGES},
    }

    def find_class(self, module, name):
        try:
            return self._NAMES[module, name]
        except KeyError:
            raise ValueError(f"it names {module}.{name:.100}") from None

    def persistent_load(self, pid):
        kind, storage, key, _, count = pid[:5]
        if kind != "storage" or storage not in _STORAGES:
            raise ValueError(f"{pid!r:.60} in place of a storage")
        return _Storage(storage, key, count)


# Those of `state_dict`s.
_INSTRUCTIONS = {
    *("PROTO", "STOP", "MARK", "GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1"),
    *("BINUNICODE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_LIST", "APPEND", "APPENDS"),
    *("EMPTY_DICT", "SETITEM", "SETITEMS"),
}


def _load(file):
    """Loads one pickle, after a look at each of its instructions."""
    start, count = file.tell(), 0
    for instruction, argument, _ in pickletools.genops(file):
        count += 1
        if instruction.name not in _INSTRUCTIONS:
            raise ValueError(f"the instruction {instruction.name}")
        # The unpickler makes room for as many values as an index says.
        if "BINPUT" in instruction.name and argument > count:
            raise ValueError(f"{argument} as the number of a value")
    end = file.tell()
    file.seek(start)
    return _Unpickler(io.BytesIO(file.read(end - start))).load()


def _read_storages(file, entries, keys, size):
    if not isinstance(entries, dict) or not all(
        isinstance(name, str) and isinstance(tensor, _Tensor)
        for name, tensor in entries.items()
    ):
        raise ValueError("it holds something else than named tensors")
    kinds = {tensor.storage.key: tensor.storage for tensor in entries.values()}
    storages = {}
    for key in keys:
        storage = kinds[key]
        count = int.from_bytes(file.read(8), "little")
        dtype = np.dtype(_STORAGES[storage.kind])
        if count != storage.count or count * dtype.itemsize > size:
            raise ValueError(f"a storage of {count} numbers")
        data = file.read(count * dtype.itemsize)
        if len(data) < count * dtype.itemsize:
            raise ValueError("it is cut off")
        storages[key] = np.frombuffer(data, dtype)
    return storages
