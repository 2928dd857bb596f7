import math
import struct
import tracemalloc

import numpy as np
import pytest

from keras_t2i.formats.t7 import LuaFunction
from keras_t2i.formats.t7 import Table
from keras_t2i.formats.t7 import TorchObject
from keras_t2i.torch_files import read_t7
from tests.damaged_files import check_damaged_files
from tests.formats.t7_writer import Function
from tests.formats.t7_writer import LuaTable
from tests.formats.t7_writer import Object
from tests.formats.t7_writer import Storage
from tests.formats.t7_writer import Tensor
from tests.formats.t7_writer import lua_list
from tests.formats.t7_writer import t7_bytes
from tests.formats.t7_writer import tensor

DTYPES = {
    "torch.ByteTensor": "u1",
    "torch.CharTensor": "i1",
    "torch.ShortTensor": "i2",
    "torch.IntTensor": "i4",
    "torch.LongTensor": "i8",
    "torch.FloatTensor": "f4",
    "torch.DoubleTensor": "f8",
    "torch.CudaByteTensor": "u1",
    "torch.CudaCharTensor": "i1",
    "torch.CudaShortTensor": "i2",
    "torch.CudaIntTensor": "i4",
    "torch.CudaLongTensor": "i8",
    "torch.CudaTensor": "f4",
    "torch.CudaDoubleTensor": "f8",
}


@pytest.fixture
def read(tmp_path):
    """Reads bytes, or a value after writing it, by way of a file."""

    def read(content):
        path = tmp_path / "a.t7"
        path.write_bytes(
            content if isinstance(content, bytes) else t7_bytes(content)
        )
        return read_t7(path)

    return read


def test_the_bytes_of_a_table(read):
    # By hand, so that reader and writer do not only agree with each other:
    # {a = 1.5} is table 1 with one pair, string "a" and number 1.5.
    content = struct.pack("<iii", 3, 1, 1)
    content += struct.pack("<ii", 2, 1) + b"a"
    content += struct.pack("<id", 1, 1.5)
    assert content == t7_bytes(LuaTable({"a": 1.5}))
    assert read(content) == {b"a": 1.5}


def test_the_bytes_of_a_tensor(read):
    # Tensor 1, 2 x 2, strides 2 and 1, from number 2 of storage 2.
    content = struct.pack("<ii", 4, 1)
    content += struct.pack("<i3s", 3, b"V 1")
    content += struct.pack("<i17s", 17, b"torch.ShortTensor")
    content += struct.pack("<iqqqqq", 2, 2, 2, 2, 1, 2)
    content += struct.pack("<ii", 4, 2)
    content += struct.pack("<i3s", 3, b"V 1")
    content += struct.pack("<i18s", 18, b"torch.ShortStorage")
    content += struct.pack("<q5h", 5, 10, 20, 30, 40, 50)
    array = read(content)
    assert array.dtype == np.int16
    np.testing.assert_array_equal(array, [[20, 30], [40, 50]])


@pytest.mark.parametrize(
    "value", [None, 0.5, -3.0, math.inf, b"", b"a\x00\xff", True, False]
)
def test_plain_values(read, value):
    result = read(t7_bytes(value))
    assert result == value and type(result) is type(value)


def test_lists_have_numbers_as_keys(read):
    value = read(lua_list(b"a", b"b"))
    assert type(value) is Table
    assert value == {1: b"a", 2: b"b"}


def test_a_nil_in_a_table_is_no_entry(read):
    assert read(LuaTable({"a": None, "b": 1})) == {b"b": 1.0}


@pytest.mark.parametrize("class_name", DTYPES)
def test_tensors_and_storages(read, class_name):
    dtype = np.dtype(DTYPES[class_name])
    numbers = np.arange(-3, 9).astype(dtype).reshape(3, 4)
    storage = Storage(numbers.ravel(), class_name.replace("Tensor", "Storage"))
    value = read(
        lua_list(Tensor(storage, (3, 4), (4, 1), 1, class_name), storage)
    )
    assert value[1].dtype == value[2].dtype == dtype
    np.testing.assert_array_equal(value[1], numbers)
    np.testing.assert_array_equal(value[2], numbers.ravel())
    assert np.shares_memory(value[1], value[2])


def test_views_share_their_storage(read):
    storage = Storage(np.arange(12, dtype="f4"))
    value = read(
        LuaTable(
            {
                "transposed": Tensor(storage, (4, 3), (1, 4)),
                "column": Tensor(storage, (3,), (4,), offset=2),
                "expanded": Tensor(storage, (2, 5), (1, 0), offset=11),
                "last": Tensor(storage, (1,), (1,), offset=12),
            }
        )
    )
    numbers = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(value[b"transposed"], numbers.T)
    np.testing.assert_array_equal(value[b"column"], numbers[:, 1])
    np.testing.assert_array_equal(value[b"expanded"], [[10] * 5, [11] * 5])
    np.testing.assert_array_equal(value[b"last"], [11])
    value[b"transposed"][1, 0] = -1
    assert value[b"column"][0] == -1


def test_a_single_element_has_any_stride(read):
    storage = Storage(np.arange(3, dtype="f4"))
    array = read(Tensor(storage, (1, 3), (2**62, 1)))
    np.testing.assert_array_equal(array, [[0, 1, 2]])


@pytest.mark.parametrize("storage", [None, Storage(np.zeros(3, "f4"))])
def test_a_tensor_without_dimensions_is_empty(read, storage):
    array = read(Tensor(storage, (), ()))
    assert array.shape == (0,) and array.dtype == np.float32


def test_an_empty_storage(read):
    assert read(Storage(np.zeros(0, "f4"))).shape == (0,)


def test_arrays_are_aligned_and_can_be_written(read):
    # The string puts the storage at an odd place of the file.
    value = read(lua_list("odd", tensor(np.ones(3), "torch.DoubleTensor")))
    assert value[2].flags.aligned and value[2].flags.writeable


@pytest.mark.parametrize("version", ["V 1", "V 2", None])
def test_objects(read, version):
    fields = LuaTable({"weight": tensor(np.ones(2, "f4")), "train": True})
    value = read(Object("nn.Linear", fields, version))
    assert type(value) is TorchObject
    assert value.class_name == "nn.Linear"
    assert value.fields[b"train"] is True
    np.testing.assert_array_equal(value.fields[b"weight"], [1, 1])
    assert repr(value) == "TorchObject(class_name='nn.Linear')"


def test_a_class_is_only_a_name(read):
    value = read(Object("os.system", LuaTable({"command": "true"})))
    assert type(value) is TorchObject
    assert value.class_name == "os.system"


def test_back_references_are_one_object(read):
    shared = LuaTable({"a": 1})
    array = tensor(np.ones(2, "f4"))
    value = read(lua_list(shared, shared, array, array))
    assert value[1] is value[2]
    assert value[3] is value[4]


def test_tables_and_objects_hold_themselves(read):
    table = LuaTable()
    node = Object("nngraph.Node", LuaTable())
    table["self"] = table
    table[table] = 1
    table[node] = 2
    table["node"] = node
    node.fields["parent"] = table
    value = read(table)
    assert value[b"self"] is value
    assert value[value] == 1
    assert value[value[b"node"]] == 2
    assert value[b"node"].fields[b"parent"] is value


@pytest.mark.parametrize("number", [7, 8])
def test_functions_are_left_unread(read, number):
    # As in the published text encoders, whose layers share their weights: the
    # function is one object, and later values are in what it refers to.
    value = LuaTable({"name": "x"})
    function = Function(b"os.exit()", lua_list(value), number)
    result = read(lua_list(function, function, value))
    assert type(result[1]) is LuaFunction
    assert result[1] is result[2]
    assert result[3] == {b"name": b"x"}


def test_nesting_deeper_than_recursion(read):
    value = LuaTable({"depth": 0})
    for depth in range(1, 4_500):
        value = Object("nngraph.Node", LuaTable({"d": depth, "child": value}))
    value = read(value)
    for _ in range(4_499):
        value = value.fields[b"child"]
    assert value == {b"depth": 0}


def test_nesting_has_a_limit(read):
    value = LuaTable()
    for _ in range(10_000):
        value = LuaTable({True: value})
    with pytest.raises(ValueError, match="at most 10000 nested"):
        read(value)


def _table(*parts, count=1):
    return struct.pack("<iii", 3, 1, count) + b"".join(parts)


def _string(text):
    return struct.pack("<i", len(text)) + text


def _tensor(dims=1, sizes=(2,), strides=(1,), offset=1, storage=None):
    if storage is None:
        storage = _storage()
    return (
        struct.pack("<ii", 4, 1)
        + _string(b"V 1")
        + _string(b"torch.FloatTensor")
        + struct.pack("<i", dims)
        + struct.pack(
            f"<{len(sizes) + len(strides) + 1}q", *sizes, *strides, offset
        )
        + storage
    )


def _storage(reference=2, class_name=b"torch.FloatStorage", count=2, left=2):
    return (
        struct.pack("<ii", 4, reference)
        + _string(b"V 1")
        + _string(class_name)
        + struct.pack("<q", count)
        + left * struct.pack("<f", 1)
    )


NUMBER = struct.pack("<id", 1, 1.0)
TRUE = struct.pack("<ii", 5, 1)
FALSE = struct.pack("<ii", 5, 0)
NIL = struct.pack("<i", 0)
DAMAGES = {
    "empty": (b"", "byte 0: expected bytes for which 0"),
    "cut": (NUMBER[:-1], "byte 4: expected bytes for which 7 .*Received: 8"),
    "more": (NUMBER + b"\0\0", "byte 12: expected the end .*2 more bytes"),
    "type": (struct.pack("<i", 9), "byte 0: expected a value .*type 9"),
    "negative type": (struct.pack("<i", -1), "byte 0: .*type -1"),
    "oldest function": (struct.pack("<i", 6), "byte 0: .*type 6"),
    "boolean": (struct.pack("<ii", 5, 2), "byte 4: expected a boolean.*: 2"),
    "negative string": (struct.pack("<ii", 2, -1), "byte 4: .*Received: -1"),
    "long string": (
        struct.pack("<ii", 2, 2**31 - 1) + b"a",
        "byte 4: .* which 1 bytes are left. Received: 2147483647",
    ),
    "reference 0": (struct.pack("<ii", 3, 0), "byte 4: .*from 1 to 1.*: 0"),
    "reference ahead": (struct.pack("<iii", 3, 2, 0), "byte 4: .*Received: 2"),
    "negative pairs": (struct.pack("<iii", 3, 1, -1), "byte 8: .*Received: -1"),
    "many pairs": (
        struct.pack("<iii", 3, 1, 2**31 - 1) + NUMBER + NUMBER,
        "byte 8: expected pairs for which 24 .*Received: 2147483647",
    ),
    "nil key": (_table(NIL, NUMBER), "byte 12: .*a key.*Received: NoneType"),
    "NaN key": (
        _table(struct.pack("<id", 1, math.nan), NUMBER),
        "byte 12: .*a key.*Received: nan",
    ),
    "key twice": (
        _table(NUMBER, NUMBER, NUMBER, NUMBER, count=2),
        "byte 36: expected different keys. Received: 1.0 twice",
    ),
    "boolean key twice": (
        _table(TRUE, NUMBER, TRUE, NUMBER, count=2),
        r"byte 32: expected different keys. Received: \(True,\) twice",
    ),
    "long key twice": (
        _table(
            *2 * [struct.pack("<i", 2) + _string(b"a" * 10_000), NUMBER],
            count=2,
        ),
        f"byte 10032: expected different keys. Received: b'{'a' * 40}' twice",
    ),
    "wrong type of reference": (
        _table(NUMBER, struct.pack("<ii", 4, 1)),
        "byte 28: .*type 4. Received: 1, .*type 3",
    ),
    "unknown Torch class": (
        struct.pack("<ii", 4, 1)
        + _string(b"V 1")
        + _string(b"torch.HalfTensor"),
        "byte 0: expected a class .*torch.HalfTensor",
    ),
    "class with its own layout": (
        struct.pack("<ii", 4, 1) + _string(b"V 1") + _string(b"tds.Hash"),
        "byte 0: expected a class .*tds.Hash",
    ),
    "object without fields": (
        struct.pack("<ii", 4, 1)
        + _string(b"V 1")
        + _string(b"nn.ReLU")
        + NUMBER,
        "byte 26: expected the fields of 'nn.ReLU' as a table. .*float",
    ),
    "object in itself": (
        struct.pack("<ii", 4, 1)
        + _string(b"V 1")
        + _string(b"nn.ReLU")
        + struct.pack("<ii", 4, 1),
        "byte 26: .*Received: TorchObject",
    ),
    "many dimensions": (_tensor(dims=33), "0 to 32 dimensions. Received: 33"),
    "negative dimensions": (_tensor(dims=-1), "dimensions. Received: -1"),
    "size beyond the storage": (
        _tensor(sizes=(3,)),
        "byte 36: expected a tensor within a storage of 2 .*Received: sizes "
        r"\(3,\), strides \(1,\), first 1",
    ),
    "offset beyond the storage": (_tensor(offset=2), "first 2"),
    "offset 0": (_tensor(offset=0), "first 0"),
    "size 0": (_tensor(sizes=(0,)), r"sizes \(0,\)"),
    "negative size": (_tensor(sizes=(-2,)), r"sizes \(-2,\)"),
    "negative stride": (
        _tensor(strides=(-1,), offset=2),
        r"strides \(-1,\)",
    ),
    "negative stride among others": (
        _tensor(2, (2, 2), (-1, 1), offset=2),
        r"strides \(-1, 1\)",
    ),
    "huge stride": (_tensor(strides=(2**62,)), "strides"),
    "sizes whose product overflows": (
        _tensor(2, (2**62, 2**62), (0, 0)),
        "sizes",
    ),
    "expanded beyond all measure": (
        _tensor(2, (2**24, 1), (0, 0)),
        r"sizes \(16777216, 1\)",
    ),
    "no storage": (_tensor(storage=NIL), "storage of 0 numbers"),
    "storage of another class": (
        _tensor(storage=_storage(class_name=b"torch.DoubleStorage")),
        "storage of a torch.FloatTensor. Received: torch.DoubleStorage",
    ),
    "number for a storage": (
        _tensor(storage=NUMBER),
        "the storage of a torch.FloatTensor. Received: a value of type 1",
    ),
    "itself for a storage": (
        _tensor(storage=struct.pack("<ii", 4, 1)),
        "the storage of a torch.FloatTensor. Received: torch.FloatTensor",
    ),
    "storage beyond the file": (
        _tensor(storage=_storage(count=3)),
        "expected numbers for which 8 bytes are left. Received: 3",
    ),
    "negative storage": (
        _tensor(storage=_storage(count=-1)),
        "expected numbers .*Received: -1",
    ),
    "storage whose bytes overflow": (
        _tensor(storage=_storage(count=2**62)),
        "expected numbers .*Received: 4611686018427387904",
    ),
    "function beyond the file": (
        struct.pack("<iii", 8, 1, 5) + b"code",
        "byte 8: expected bytes for which 4 .*Received: 5",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damages(read, tmp_path, name):
    content, message = DAMAGES[name]
    with pytest.raises(ValueError, match=f"a.t7, {message}|a.t7.*{message}"):
        read(content)


def test_the_tensor_of_the_damages_is_whole(read):
    np.testing.assert_array_equal(read(_tensor()), [1, 1])


def test_booleans_as_keys_are_no_numbers(read):
    two = struct.pack("<id", 1, 2.0)
    value = read(_table(TRUE, NUMBER, NUMBER, two, FALSE, two, count=3))
    assert value == {(True,): 1.0, 1.0: 2.0, (False,): 2.0}


def test_tensors_as_keys_are_refused(read):
    with pytest.raises(ValueError, match="a key.*Received: ndarray"):
        read(LuaTable({tensor(np.ones(1, "f4")): 1}))


def test_ascii_files_are_refused(read):
    with pytest.raises(ValueError, match="binary.*a.t7.*ASCII.*'binary'"):
        read(b"4\n1\n3\nV 1\n17\ntorch.FloatTensor\n1\n2\n1\n1\n")


def test_folders_and_devices_are_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        read_t7(tmp_path)
    with pytest.raises(ValueError, match="/dev/zero.*no regular file"):
        read_t7("/dev/zero")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.t7"):
        read_t7(tmp_path / "none.t7")


def _peak(path):
    tracemalloc.start()
    try:
        read_t7(path)
    except ValueError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


def test_arrays_take_the_memory_of_the_file(tmp_path):
    path = tmp_path / "a.t7"
    path.write_bytes(
        t7_bytes(lua_list(*(tensor(np.ones(500_000, "f4")) for _ in range(4))))
    )
    assert _peak(path) < 1.1 * path.stat().st_size


def test_many_tiny_values_take_bounded_memory(tmp_path):
    # Empty tables are what takes most, beside their size in the file.
    path = tmp_path / "a.t7"
    num_tables = 20_000
    tables = b"".join(
        struct.pack("<idiii", 1, number, 3, number + 2, 0)
        for number in range(num_tables)
    )
    path.write_bytes(struct.pack("<iii", 3, 1, num_tables) + tables)
    assert len(read_t7(path)) == num_tables
    assert _peak(path) < 220 * num_tables


def _doubled(depth):
    """Tables 2, 3, ..., each with the next one twice: 2**depth parts."""
    content = struct.pack("<iii", 3, depth + 2, 0)
    for number in range(depth + 1, 1, -1):
        content = b"".join(
            [
                struct.pack("<iii", 3, number, 2) + NUMBER + content,
                struct.pack("<idii", 1, 2.0, 3, number + 1),
            ]
        )
    return content


EXPANDED = Tensor(Storage(np.ones(1, "f4")), 9 * (4,), 9 * (0,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            _table(
                *(_doubled(20), NUMBER),
                *(struct.pack("<ii", 3, 2), NUMBER),
                count=2,
            ),
            "Received: Table twice",
        ),
        (t7_bytes(LuaTable({EXPANDED: 1})), "Received: ndarray"),
    ],
    ids=["table", "expanded tensor"],
)
def test_messages_do_not_hold_all_of_a_key(tmp_path, content, message):
    path = tmp_path / "a.t7"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_t7(path)
    assert _peak(path) < 300_000


def test_the_number_of_values_has_a_limit(tmp_path):
    path = tmp_path / "a.t7"
    pairs = b"".join(
        struct.pack("<idi", 1, number, 0) for number in range(500_000)
    )
    path.write_bytes(struct.pack("<iii", 3, 1, 500_000) + pairs)
    with pytest.raises(ValueError, match="at most 1000000 values"):
        read_t7(path)


def everything():
    """A value with every type, sharing, cycles and a graph."""
    storage = Storage(np.arange(24, dtype="f4"))
    function = Function(upvalues=lua_list(LuaTable({"name": "x"})))
    nodes = [Object("nngraph.Node", LuaTable()) for _ in range(4)]
    for index, node in enumerate(nodes):
        node.fields["children"] = lua_list(*nodes[index + 1 :])
        node.fields[nodes[index - 1]] = index
    linear = Object(
        "nn.Linear",
        LuaTable(
            {
                "weight": Tensor(storage, (4, 3), (3, 1)),
                "bias": Tensor(storage, (4,), (3,), offset=13),
                "output": Tensor(storage, (2, 3), (0, 1)),
                "accUpdateGradParameters": function,
                "train": False,
            }
        ),
    )
    return LuaTable(
        {
            "modules": lua_list(linear, Object("nn.ReLU", LuaTable(), None)),
            "nodes": lua_list(*nodes),
            "function": function,
            "vocabulary": LuaTable({f"word{n}": n for n in range(20)}),
            "none": None,
            **{
                name: tensor(np.arange(6).astype(dtype).reshape(2, 3), name)
                for name, dtype in DTYPES.items()
            },
        }
    )


def test_damaged_files(tmp_path):
    content = t7_bytes(everything())
    check_damaged_files(read_t7, tmp_path / "a.t7", content, range(500))


@pytest.mark.large
def test_many_damaged_files(tmp_path):
    content = t7_bytes(everything())
    seeds = range(500, 10_500)
    check_damaged_files(read_t7, tmp_path / "a.t7", content, seeds)
