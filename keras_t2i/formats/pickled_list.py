"""Reads lists that Python has pickled, and runs nothing from the file."""

import io
import math
import os
import pathlib
import struct

import numpy as np

# About 100 bytes each at most; the published file of COCO, the largest, has
# some 80,000 arrays with some 30 instructions each.
_MAX_INSTRUCTIONS = 4_000_000
# Each row of an array becomes an object, of some 100 bytes too.
_MAX_ROWS = 1_000_000
# Of numbers and other words that are written as text. Strings may be longer.
_MAX_WORD = 100

_MARK = object()
# What the pickles of arrays call, by their names in Python 2 and 3 and in
# NumPy 1 and 2. Nothing is looked up: `_Reader` knows what each would return.
_CALLS = {
    "numpy.core.multiarray _reconstruct": "new_array",
    "numpy._core.multiarray _reconstruct": "new_array",
    "numpy.core.multiarray scalar": "scalar",
    "numpy._core.multiarray scalar": "scalar",
    "numpy.core.numeric _frombuffer": "array_from_bytes",
    "numpy._core.numeric _frombuffer": "array_from_bytes",
    "numpy dtype": "dtype",
    "numpy ndarray": None,
    "_codecs encode": "encode",
}
_DTYPES = ("b1", *(k + n for k in "iu" for n in "1248"), "f2", "f4", "f8")
_BYTE_ORDERS = ("<", ">", "=", "|")


def read_pickled_list(path: str | os.PathLike) -> list:
    """Reads a pickled list of numbers, strings and arrays.

    A pickle is a program that builds values. Its instructions are carried out
    here one by one, as far as lists, tuples, numbers, strings and NumPy arrays
    of numbers need them, and all others are refused: no class or function is
    ever looked up. Pickles of Python 2 and 3 are read. Reading takes some two
    times the memory of the file, plus at most some 400 MB if it holds many
    tiny values.

    Args:
        path: path of the file.

    Returns:
        List. Strings of Python 2 are `bytes`; tuples may be in it.

    Raises:
        ValueError: the file is damaged, no pickle, or holds something else.
        OSError: the file can not be opened or read.

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
    with path.open("rb") as file:
        return _Reader(file, path).read()


class _Name:
    """A function or class that the file names, and nobody looks up."""

    def __init__(self, name):
        self.name = name


class _Type:
    """A NumPy type, whose byte order comes after its name."""

    def __init__(self, name):
        self.dtype = np.dtype(name)


class _NewArray:
    """An array whose numbers come after its creation."""

    array = None


class _Reader:
    def __init__(self, file: io.BufferedReader, path: pathlib.Path):
        self._file = file
        self._path = path
        self._size = os.fstat(file.fileno()).st_size
        self._offset = 0
        # Where the instruction began that is carried out.
        self._start = 0
        self._num_encoded = 0
        self._stack = []
        self._memo = {}

    def read(self):
        for _ in range(_MAX_INSTRUCTIONS):
            self._start = self._offset
            instruction = self._take(1)
            if instruction == b".":
                break
            method = _INSTRUCTIONS.get(instruction)
            if method is None:
                raise self._error(
                    "instructions that build lists, numbers, strings and "
                    f"arrays. Received: {instruction!r}"
                )
            method(self)
        else:
            raise self._error(
                f"at most {_MAX_INSTRUCTIONS} instructions. Received: more"
            )
        value = self._pop()
        if self._stack or self._offset < self._size:
            raise self._error("the end of the file. Received: more")
        if isinstance(value, np.ndarray) and value.ndim:
            # One array for all images is a list of theirs.
            if len(value) > _MAX_ROWS:
                raise self._error(f"at most {_MAX_ROWS} rows. Received: more")
            return list(value)
        if not isinstance(value, list):
            raise self._error(f"a list. Received: {type(value).__name__}")
        return value

    # === The file ===

    def _take(self, num_bytes):
        left = self._size - self._offset
        if not 0 <= num_bytes <= left:
            raise self._error(
                f"{num_bytes} more bytes. Received: {left} until its end"
            )
        data = self._file.read(num_bytes)
        if len(data) != num_bytes:
            raise self._error("a file that stays as long as it was")
        self._offset += num_bytes
        return data

    def _unpack(self, layout):
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _line(self, limit=_MAX_WORD):
        line = self._file.readline(limit)
        if not line.endswith(b"\n"):
            raise self._error("a line. Received: one without end")
        self._offset += len(line)
        return line[:-1]

    def _error(self, expected):
        return ValueError(
            f"{self._path}, byte {self._start}: expected {expected}. The file "
            "is damaged, or no pickled list of numbers, strings or arrays: get "
            "it again."
        )

    # === The stack ===

    def _pop(self):
        value = self._stack.pop() if self._stack else _MARK
        if value is _MARK:
            raise self._error("a value. Received: none")
        if isinstance(value, _NewArray):
            if value.array is None:
                raise self._error("an array's numbers. Received: none")
            return value.array
        return value

    def _pop_to_mark(self):
        values = []
        while self._stack and self._stack[-1] is not _MARK:
            values.append(self._pop())
        if not self._stack:
            raise self._error("a mark. Received: none")
        self._stack.pop()
        return values[::-1]

    def _top_list(self):
        top = self._stack[-1] if self._stack else None
        if not isinstance(top, list):
            raise self._error(f"a list. Received: {type(top).__name__}")
        return top

    def _append(self):
        value = self._pop()
        self._top_list().append(value)

    def _extend(self):
        values = self._pop_to_mark()
        self._top_list().extend(values)

    def _list(self):
        self._stack.append(self._pop_to_mark())

    def _tuple(self):
        self._stack.append(tuple(self._pop_to_mark()))

    def _tuple_of(self, count):
        values = [self._pop() for _ in range(count)]
        self._stack.append(tuple(values[::-1]))

    def _put(self, place):
        if not self._stack or self._stack[-1] is _MARK:
            raise self._error("a value to keep. Received: none")
        self._memo[place] = self._stack[-1]

    def _get(self, place):
        if place not in self._memo:
            raise self._error(f"a value kept as {place}. Received: none")
        self._stack.append(self._memo[place])

    # === Numbers and strings ===

    def _number(self, parse):
        line = self._line()
        try:
            return parse(line)
        except ValueError:
            raise self._error(f"a number. Received: {line!r}") from None

    def _push_int_line(self):
        line = self._line()
        # How protocol 0 writes booleans.
        values = {b"00": False, b"01": True}
        if line in values:
            self._stack.append(values[line])
            return
        try:
            self._stack.append(int(line.rstrip(b"L")))
        except ValueError:
            raise self._error(f"a number. Received: {line!r}") from None

    def _push_long(self):
        size = self._take(1)[0]
        # More is no number of a class, nor of anything else in such a list.
        if size > 8:
            raise self._error(f"a number of 8 bytes. Received: {size}")
        data = self._take(size)
        self._stack.append(int.from_bytes(data, "little", signed=True))

    def _push_bytes_line(self):
        text = self._line(self._size)
        if len(text) < 2 or text[:1] not in b"'\"" or text[-1:] != text[:1]:
            raise self._error("a string in quotes. Received: none")
        try:
            text = text[1:-1].decode("ascii").encode("ascii")
            text = text.decode("unicode_escape").encode("latin-1")
        except ValueError:
            raise self._error("a string. Received: other bytes") from None
        self._stack.append(text)

    def _push_text_line(self):
        self._push_text(self._line(self._size), "raw_unicode_escape")

    def _push_text(self, data, encoding="utf-8"):
        try:
            self._stack.append(data.decode(encoding, "surrogatepass"))
        except ValueError:
            raise self._error("text. Received: other bytes") from None

    def _push_name(self, module, name):
        is_text = isinstance(module, str) and isinstance(name, str)
        key = f"{module} {name}" if is_text else ""
        if key not in _CALLS:
            raise self._error(
                "nothing to call but what makes NumPy's arrays. Received: "
                f"{key[:60]!r}"
            )
        self._stack.append(_Name(key))

    def _push_global(self):
        module, name = self._line(), self._line()
        self._push_name(module.decode("latin-1"), name.decode("latin-1"))

    def _push_stack_global(self):
        name, module = self._pop(), self._pop()
        self._push_name(module, name)

    # === Arrays ===

    def _call(self):
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise self._error("a call of what makes NumPy's arrays")
        call = _CALLS[function.name]
        if call is None:
            raise self._error(f"no call of {function.name}. Received: one")
        self._stack.append(getattr(self, f"_call_{call}")(*arguments[:5]))

    def _call_new_array(self, *arguments):
        return _NewArray()

    def _call_dtype(self, name=None, *options):
        name = _as_text(name)
        if name not in _DTYPES:
            raise self._error(
                f"one of the types {', '.join(_DTYPES)}. Received: {name!r:.40}"
            )
        return _Type(name)

    def _call_encode(self, text=None, encoding=None, *options):
        # How Python 3 writes bytes for Python 2.
        if not isinstance(text, str) or _as_text(encoding) != "latin1":
            raise self._error("text to encode as latin1")
        self._num_encoded += len(text)
        # One text could be encoded again and again.
        if self._num_encoded > self._size:
            raise self._error("less text to encode than the file has bytes")
        try:
            return text.encode("latin-1")
        except ValueError:
            raise self._error("text of latin1. Received: other") from None

    def _call_scalar(self, dtype=None, data=None, *options):
        return self._array(dtype, (), data, "C").item()

    def _call_array_from_bytes(
        self, data=None, dtype=None, shape=None, order="C", axes=None
    ):
        order = _as_text(order)
        if order == "K":
            # Written with the axes sorted by their strides.
            array = self._array(dtype, shape, data, "C")
            is_order = isinstance(axes, tuple) and all(
                type(axis) is int for axis in axes
            )
            if not is_order or sorted(axes) != list(range(array.ndim)):
                raise self._error("an order of all axes. Received: another")
            return array.transpose(axes)
        if order not in ("C", "F"):
            raise self._error("the order C, F or K. Received: another")
        return self._array(dtype, shape, data, order)

    def _build(self):
        state = self._pop()
        top = self._stack[-1] if self._stack else None
        if isinstance(state, tuple) and isinstance(top, _Type):
            order = _as_text(state[1]) if len(state) > 1 else None
            is_plain = all(value is None for value in state[2:5])
            if order not in _BYTE_ORDERS or not is_plain:
                raise self._error("a type of plain numbers. Received: another")
            top.dtype = top.dtype.newbyteorder(order)
        elif (
            isinstance(state, tuple)
            and len(state) == 5
            and isinstance(top, _NewArray)
        ):
            _, shape, dtype, is_fortran, data = state
            order = "F" if isinstance(is_fortran, int) and is_fortran else "C"
            top.array = self._array(dtype, shape, data, order)
        else:
            raise self._error("the state of an array. Received: another")

    def _array(self, dtype, shape, data, order):
        is_shape = isinstance(shape, tuple) and all(
            isinstance(size, int) and 1 <= size <= self._size for size in shape
        )
        if not isinstance(dtype, _Type) or not is_shape or len(shape) > 8:
            raise self._error("an array's type and shape. Received: others")
        if isinstance(data, str):
            # A Python 2 pickle that Python 3 has written again.
            data = self._call_encode(data, "latin1")
        size = math.prod(shape) * dtype.dtype.itemsize
        if not isinstance(data, bytes) or len(data) != size:
            raise self._error(
                f"{size} bytes for an array of shape {shape}. Received: others"
            )
        array = np.frombuffer(data, dtype.dtype)
        return array.reshape(shape, order=order)


def _as_text(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else None


def _push(value):
    return lambda reader: reader._stack.append(value())


def _push_unpacked(layout):
    return lambda reader: reader._stack.append(reader._unpack(layout))


def _push_taken(layout):
    return lambda reader: reader._stack.append(
        reader._take(reader._unpack(layout))
    )


def _push_taken_text(layout):
    return lambda reader: reader._push_text(
        reader._take(reader._unpack(layout))
    )


# The instructions of protocols 0 to 5 that such lists need, by `pickletools`.
_INSTRUCTIONS = {
    b"\x80": lambda reader: reader._take(1),  # The protocol's number.
    b"\x95": lambda reader: reader._take(8),  # A frame, for faster reading.
    b"(": _push(lambda: _MARK),
    b"0": lambda reader: reader._pop(),
    b"N": _push(lambda: None),
    b"\x88": _push(lambda: True),
    b"\x89": _push(lambda: False),
    b"I": _Reader._push_int_line,
    b"L": _Reader._push_int_line,
    b"J": _push_unpacked("<i"),
    b"K": _push_unpacked("<B"),
    b"M": _push_unpacked("<H"),
    b"\x8a": _Reader._push_long,
    b"F": lambda reader: reader._stack.append(reader._number(float)),
    b"G": _push_unpacked(">d"),
    b"S": _Reader._push_bytes_line,
    b"T": _push_taken("<i"),
    b"U": _push_taken("<B"),
    b"B": _push_taken("<I"),
    b"C": _push_taken("<B"),
    b"\x8e": _push_taken("<Q"),
    b"\x96": _push_taken("<Q"),
    b"V": _Reader._push_text_line,
    b"X": _push_taken_text("<I"),
    b"\x8c": _push_taken_text("<B"),
    b"\x8d": _push_taken_text("<Q"),
    b"]": _push(list),
    b"a": _Reader._append,
    b"e": _Reader._extend,
    b"l": _Reader._list,
    b")": _push(tuple),
    b"t": _Reader._tuple,
    b"\x85": lambda reader: reader._tuple_of(1),
    b"\x86": lambda reader: reader._tuple_of(2),
    b"\x87": lambda reader: reader._tuple_of(3),
    b"p": lambda reader: reader._put(reader._number(int)),
    b"q": lambda reader: reader._put(reader._unpack("<B")),
    b"r": lambda reader: reader._put(reader._unpack("<I")),
    b"\x94": lambda reader: reader._put(len(reader._memo)),
    b"g": lambda reader: reader._get(reader._number(int)),
    b"h": lambda reader: reader._get(reader._unpack("<B")),
    b"j": lambda reader: reader._get(reader._unpack("<I")),
    b"c": _Reader._push_global,
    b"\x93": _Reader._push_stack_global,
    b"R": _Reader._call,
    b"b": _Reader._build,
}
