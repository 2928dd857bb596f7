import collections
import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from keras_t2i.applications.pytorch_weights import read_pytorch_weights
from tests.damaged_files import check_damaged_files

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}


class _Global:
    """Stands for a name of PyTorch, which need not be installed."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self, *arguments):
        raise NotImplementedError


class _Call:
    def __init__(self, function, arguments, state=None):
        self.function, self.arguments = function, arguments
        self.state = state


class _Storage:
    def __init__(self, kind, key, count):
        self.id = ("storage", _Global("torch", kind), key, "cpu", count, None)


class _Pickler(pickle._Pickler):
    """Python's own, that also writes names, calls and storages as PyTorch."""

    def persistent_id(self, value):
        return value.id if isinstance(value, _Storage) else None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, _Global):
            self.write(f"c{value.module}\n{value.name}\n".encode())
        elif isinstance(value, _Call):
            self.save(value.function)
            self.save(value.arguments)
            self.write(pickle.REDUCE)
            if value.state is not None:
                self.save(value.state)
                self.write(pickle.BUILD)
        else:
            super().save(value, save_persistent_id)


def _pickled(value):
    file = io.BytesIO()
    _Pickler(file, 2).dump(value)
    return file.getvalue()


ORDERED_DICT = _Global("collections", "OrderedDict")


def _tensor(
    kind="FloatStorage",
    key="7",
    count=6,
    offset=0,
    shape=(2, 3),
    strides=(3, 1),
):
    return _Call(
        _Global("torch._utils", "_rebuild_tensor_v2"),
        (
            *(_Storage(kind, key, count), offset, shape, strides, False),
            _Call(ORDERED_DICT, ()),
        ),
    )


def _file(entries, storages, keys=None):
    """The bytes of a file: pickles, then each storage's length and numbers."""
    keys = list(storages) if keys is None else keys
    content = b"".join(
        map(_pickled, (MAGIC_NUMBER, 1001, SYSTEM, entries, keys))
    )
    for numbers in storages.values():
        content += len(numbers).to_bytes(8, "little") + numbers.tobytes()
    return content


NUMBERS = {"7": np.arange(6, dtype="<f4")}


@pytest.fixture
def read(tmp_path):
    """Reads a file of these bytes."""

    def read(content):
        (tmp_path / "a.pth").write_bytes(content)
        return read_pytorch_weights(tmp_path / "a.pth")

    return read


@pytest.fixture
def refusal_of(read, tmp_path):
    """Reads a file that must be refused; returns the one line."""

    def refusal_of(content):
        with pytest.raises(ValueError) as raised:
            read(content)
        message = str(raised.value)
        assert str(tmp_path / "a.pth") in message and "\n" not in message
        assert len(message) < 500
        return message

    return refusal_of


def test_values(read):
    entries = {
        "a.weight": _tensor(),
        "count": _tensor("LongStorage", "b", 1, shape=(), strides=()),
    }
    storages = {**NUMBERS, "b": np.array([2**40], "<i8")}
    weights = read(_file(entries, storages))
    assert list(weights) == ["a.weight", "count"]
    np.testing.assert_array_equal(weights["a.weight"], [[0, 1, 2], [3, 4, 5]])
    assert weights["a.weight"].dtype == np.float32
    assert weights["count"].shape == () and weights["count"] == 2**40


def test_the_state_of_modules_is_left_out(read):
    state = {"_metadata": _Call(ORDERED_DICT, ())}
    entries = _Call(ORDERED_DICT, (), state)
    assert read(_file(entries, {})) == {}


def test_strides(read):
    entries = {
        "transposed": _tensor(shape=(3, 2), strides=(1, 3)),
        "part": _tensor(offset=1, shape=(2, 2), strides=(3, 1)),
        "every other": _tensor(shape=(3,), strides=(2,)),
        "nothing": _tensor(shape=(0, 4), strides=(4, 1)),
    }
    weights = read(_file(entries, NUMBERS))
    np.testing.assert_array_equal(
        weights["transposed"], [[0, 3], [1, 4], [2, 5]]
    )
    np.testing.assert_array_equal(weights["part"], [[1, 2], [4, 5]])
    np.testing.assert_array_equal(weights["every other"], [0, 2, 4])
    assert weights["nothing"].shape == (0, 4)
    # Arrays of their own: no writing to one changes another.
    weights["part"][:] = 9
    np.testing.assert_array_equal(weights["every other"], [0, 2, 4])


@pytest.mark.parametrize(
    "tensor",
    [
        {"shape": (2, 4)},
        {"offset": 1},
        {"offset": 6, "shape": (1,), "strides": (1,)},
        {"strides": (4, 1)},
        # Of one number, a trillion.
        {"shape": (1000, 1000, 1000, 1000), "strides": (0, 0, 0, 0)},
        {"shape": (7,), "strides": (0,)},
        {"shape": (2**39,), "strides": (1,)},
        {"shape": (-1,), "strides": (1,)},
        {"shape": (2,), "strides": (-1,)},
        {"offset": -1},
        {"offset": 2**63},
        {"shape": (2.0,), "strides": (1,)},
        {"shape": (True,), "strides": (1,)},
    ],
)
def test_tensors_that_do_not_fit(refusal_of, tensor):
    refusal_of(_file({"a": _tensor(**tensor)}, NUMBERS))


@pytest.mark.parametrize("name", ["os system", "builtins eval", "torch load"])
def test_other_names(refusal_of, tmp_path, name):
    module, name = name.split()
    call = _Call(_Global(module, name), (f"touch {tmp_path}/harm",))
    message = refusal_of(_file(call, {}))
    assert f"it names {module} {name}" in message
    assert os.listdir(tmp_path) == ["a.pth"]


def test_real_objects(refusal_of, tmp_path):
    class Harm:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/harm",)

    head = b"".join(map(_pickled, (MAGIC_NUMBER, 1001, SYSTEM)))
    for protocol in range(6):
        refusal_of(head + pickle.dumps(Harm(), protocol))
        refusal_of(pickle.dumps(Harm(), protocol))
    assert os.listdir(tmp_path) == ["a.pth"]


HEAD = b"".join(map(_pickled, (MAGIC_NUMBER, 1001, SYSTEM)))


def _program(*instructions):
    return HEAD + pickle.PROTO + b"\2" + b"".join(instructions) + pickle.STOP


def _doubled(times):
    """A tuple that holds itself 2 to the power of `times` times over."""
    program = [pickle.EMPTY_TUPLE, pickle.BINPUT + b"\0"]
    for _ in range(times):
        program += [pickle.BINGET + b"\0", pickle.BINGET + b"\0"]
        program += [pickle.TUPLE2, pickle.BINPUT + b"\0"]
    return b"".join(program)


@pytest.mark.parametrize(
    "value", [_doubled(200), pickle.EMPTY_TUPLE + 10**5 * pickle.TUPLE1]
)
def test_values_that_take_for_ever(refusal_of, value):
    name = pickle.BINUNICODE + b"\1\0\0\0a"
    # As a key, as a storage, as a size, and as it is.
    refusal_of(_program(pickle.EMPTY_DICT, value, pickle.NONE, pickle.SETITEM))
    refusal_of(_program(value, pickle.BINPERSID))
    storage = b"".join((*(name, value, name, name, name),))
    refusal_of(_program(pickle.MARK, storage, pickle.TUPLE, pickle.BINPERSID))
    refusal_of(_program(pickle.EMPTY_DICT, name, value, pickle.SETITEM))
    refusal_of(_program(value))
    entries = _pickled({})
    refusal_of(HEAD + entries + pickle.PROTO + b"\2" + value + pickle.STOP)


@pytest.mark.parametrize(
    "program",
    [
        # The numbers of values are no sizes of anything.
        pickle.EMPTY_DICT + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f",
        pickle.BINGET + b"\5",
        pickle.BINUNICODE + b"\xff\xff\xff\xff" + b"abc",
        pickle.TUPLE3,
        pickle.MARK + pickle.TUPLE1,
        pickle.TUPLE,
        pickle.REDUCE,
        pickle.NONE + pickle.NONE + pickle.REDUCE,
        pickle.NONE + pickle.NONE + pickle.APPEND,
        pickle.NONE + pickle.NONE + pickle.NONE + pickle.SETITEM,
        pickle.NONE + pickle.NONE + pickle.BUILD,
        pickle.EMPTY_DICT + pickle.DUP,
        b"",
    ],
)
def test_bad_instructions(refusal_of, program):
    refusal_of(_program(program))


def test_tensors_with_attributes(refusal_of):
    tensor = _tensor()
    tensor.state = {"a": 1}
    message = refusal_of(_file({"a": tensor}, NUMBERS))
    assert "a tensor with attributes" in message


def test_storages_that_do_not_fit(refusal_of):
    entries = {"a": _tensor()}
    whole = _file(entries, NUMBERS)
    assert "it is cut off" in refusal_of(whole[:-1])
    # A length that is no longer that of the pickle, and one that both say.
    length = len(whole) - 6 * 4 - 8
    other = whole[:length] + (2**60).to_bytes(8, "little") + whole[-24:]
    assert "a storage of 1152921504606846976 numbers" in refusal_of(other)
    large = _file({"a": _tensor(count=2**39)}, {})
    large = large[: -len(_pickled([]))] + _pickled(["7"])
    refusal_of(large + (2**39).to_bytes(8, "little") + bytes(100))
    refusal_of(_file(entries, NUMBERS, keys=["8"]))
    refusal_of(_file(entries, {}, keys=[]))
    refusal_of(_file(entries, NUMBERS, keys=7))
    refusal_of(_file({"a": _tensor("HalfStorage")}, NUMBERS))


@pytest.mark.parametrize(
    "entries", [{"a": 1}, [], None, {"a": {"b": _tensor()}}, {1: _tensor()}]
)
def test_something_else_than_tensors(refusal_of, entries):
    refusal_of(_file(entries, NUMBERS))


def test_other_files(refusal_of, tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, 2))
    for content in (file.getvalue(), b"", b"\0" * 100, pickle.dumps([1])):
        assert "cannot be read" in refusal_of(content)
    with pytest.raises(ValueError, match="not a regular file"):
        read_pytorch_weights(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_pytorch_weights(tmp_path / "none.pth")


def several_tensors():
    """The bytes of a whole file."""
    entries = collections.OrderedDict(
        (name, _tensor(key=name, shape=(3, 2), strides=(2, 1)))
        for name in ("a.weight", "a.bias", "b.weight")
    )
    return _file(dict(entries), {name: NUMBERS["7"] for name in entries})


def test_damaged_files(tmp_path):
    content = several_tensors()
    check_damaged_files(
        read_pytorch_weights, tmp_path / "a.pth", content, range(600)
    )
    assert os.listdir(tmp_path) == ["a.pth"]
