import hashlib
import io
import os
import pickle

import numpy as np
import pytest

from keras_t2i.applications.pytorch_weights import read_pytorch_weights

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
        sha256 = hashlib.sha256(content).hexdigest()
        return read_pytorch_weights(tmp_path / "a.pth", sha256)

    return read


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


@pytest.mark.parametrize("name", ["os system", "builtins eval", "torch load"])
def test_other_names(read, tmp_path, name):
    module, name = name.split()
    call = _Call(_Global(module, name), (f"touch {tmp_path}/harm",))
    with pytest.raises(ValueError, match=f"names {module}.{name}"):
        read(_file(call, {}))
    assert os.listdir(tmp_path) == ["a.pth"]


def test_another_file_is_not_unpickled(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/harm",)

    path = tmp_path / "a.pth"
    path.write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ValueError, match="must be the published file") as error:
        read_pytorch_weights(path, "0" * 64)
    assert str(path) in str(error.value)
    assert os.listdir(tmp_path) == ["a.pth"]
    with pytest.raises(FileNotFoundError):
        read_pytorch_weights(tmp_path / "none.pth", "0" * 64)
