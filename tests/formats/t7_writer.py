"""Writes binary .t7 files, from the description of the format alone."""

import struct

import numpy as np


class LuaTable(dict):
    """A table that can be a key, by identity."""

    __hash__ = object.__hash__


class Object:
    """An object of a Torch class; `version=None` writes the oldest layout."""

    def __init__(self, class_name, fields, version="V 1"):
        self.class_name = class_name
        self.fields = fields
        self.version = version


class Storage(Object):
    def __init__(self, array, class_name="torch.FloatStorage"):
        super().__init__(class_name, None)
        self.array = array


class Tensor(Object):
    """A view into a storage. The offset counts from 1, strides in numbers."""

    def __init__(
        self, storage, sizes, strides, offset=1, class_name="torch.FloatTensor"
    ):
        super().__init__(class_name, None)
        self.storage = storage
        self.sizes = sizes
        self.strides = strides
        self.offset = offset


class Function:
    def __init__(self, code=b"\x1bLJ\x02", upvalues=None, number=8):
        self.code = code
        self.upvalues = LuaTable() if upvalues is None else upvalues
        self.number = number


def tensor(array, class_name="torch.FloatTensor"):
    """A tensor of all of an array, with a storage of its own."""
    storage = Storage(array.ravel(), class_name.replace("Tensor", "Storage"))
    strides = [stride // array.itemsize for stride in array.strides]
    return Tensor(storage, array.shape, strides, class_name=class_name)


def lua_list(*values):
    return LuaTable(enumerate(values, start=1))


def t7_bytes(value):
    data = bytearray()
    references = {}
    # The format is what is inside in order, so that a stack of what is still
    # to be written replaces recursion: graphs are deep.
    waiting = [value]

    def write(layout, *numbers):
        data.extend(struct.pack("<" + layout, *numbers))

    def write_string(string):
        string = string.encode() if isinstance(string, str) else string
        write("i", len(string))
        data.extend(string)

    while waiting:
        value = waiting.pop()
        if value is None:
            write("i", 0)
        elif isinstance(value, bool):
            write("ii", 5, value)
        elif isinstance(value, (int, float)):
            write("id", 1, value)
        elif isinstance(value, (str, bytes)):
            write("i", 2)
            write_string(value)
        else:
            if isinstance(value, dict):
                write("i", 3)
            else:
                write("i", value.number if isinstance(value, Function) else 4)
            # The value is kept, so that no other gets its id.
            number, _ = references.get(id(value), (0, None))
            if number:
                write("i", number)
                continue
            number = len(references) + 1
            references[id(value)] = (number, value)
            write("i", number)
            waiting.extend(reversed(_begin(value, write, write_string, data)))
    return bytes(data)


def _begin(value, write, write_string, data):
    """Writes the start of a value; returns what is written after it."""
    if isinstance(value, dict):
        write("i", len(value))
        return [part for pair in value.items() for part in pair]
    if isinstance(value, Function):
        write_string(value.code)
        return [value.upvalues]
    if value.version is not None:
        write_string(value.version)
    write_string(value.class_name)
    if isinstance(value, Storage):
        write("q", value.array.size)
        data.extend(np.ascontiguousarray(value.array).tobytes())
        return []
    if isinstance(value, Tensor):
        dims = len(value.sizes)
        write(
            f"i{dims}q{dims}qq",
            dims,
            *value.sizes,
            *value.strides,
            value.offset,
        )
        return [value.storage]
    return [value.fields]
