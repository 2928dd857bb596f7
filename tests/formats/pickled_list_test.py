import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from keras_t2i.formats.pickled_list import read_pickled_list
from tests.damaged_files import check_damaged_files

ARRAYS = [
    np.arange(6, dtype="f4").reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(24, dtype="f4").reshape(2, 3, 4).transpose(0, 2, 1),
    np.arange(24, dtype="f4").reshape(2, 3, 4).transpose(1, 2, 0),
    np.array([1.5, -2.5], ">f8"),
    np.array([[1, 2], [3, 4]], "u1"),
    np.array(0.5),
]
VALUES = [
    *(0, 7, -5, 255, 256, 65536, 2**40, -(2**40), True, False, None),
    *(
        1.5,
        float("inf"),
        "",
        "a'b\"\n\\",
        "é花🌹",
        b"\x00\xff'\\",
        ("a", (1, 2)),
    ),
    *(np.int64(7), np.float32(2.5), [1, ["a"]]),
]


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "a.pickle"
        path.write_bytes(content)
        return read_pickled_list(path)

    return read


# === What is read ===


@pytest.mark.parametrize("protocol", range(6))
def test_arrays(read, protocol):
    for value, expected in zip(read(pickle.dumps(ARRAYS, protocol)), ARRAYS):
        assert (value.dtype, value.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("protocol", range(6))
def test_values(read, protocol):
    value = read(pickle.dumps(VALUES, protocol))
    assert value == VALUES
    assert [type(v) for v in value[:18]] == [type(v) for v in VALUES[:18]]


@pytest.mark.parametrize("protocol", range(6))
def test_one_array_for_all_images(read, protocol):
    array = np.arange(12, dtype="f4").reshape(2, 2, 3)
    value = read(pickle.dumps(array, protocol))
    assert len(value) == 2
    np.testing.assert_array_equal(value, array)


@pytest.mark.parametrize("name", ["numpy.core", "numpy._core"])
def test_names_of_both_numpys(read, name):
    content = pickle.dumps(ARRAYS, 2)
    for module in (b"numpy._core.multi", b"numpy.core.multi"):
        content = content.replace(module, name.encode() + b".multi")
    np.testing.assert_array_equal(read(content)[0], ARRAYS[0])


def test_what_python_2_wrote(read):
    # By hand: protocol 0 of ["jpg/image_00001", 'it\'s', u"é", 7, 7L].
    content = b"""(lp0
S'jpg/image_00001'
p1
aS"it's"
p2
aV\\u00e9
p3
aI7
aL7L
a."""
    assert read(content) == [b"jpg/image_00001", b"it's", "é", 7, 7]
    # An array of two float32, 1 and 2, its bytes as escaped text.
    content = b"""(lp0
cnumpy.core.multiarray
_reconstruct
p1
(cnumpy
ndarray
p2
(I0
tp3
S'b'
p4
tp5
Rp6
(I1
(I2
tp7
cnumpy
dtype
p8
(S'f4'
p9
I0
I1
tp10
Rp11
(I3
S'<'
p12
NNNI-1
I-1
I0
tp13
bI00
S'\\x00\\x00\\x80?\\x00\\x00\\x00@'
p14
tp15
ba."""
    (array,) = read(content)
    assert array.dtype == np.float32
    assert array.tolist() == [1, 2]


def test_lists_that_hold_themselves(read):
    value = [1]
    value.append(value)
    value = read(pickle.dumps(value, 2))
    assert value[1] is value


# === What is refused ===


class Trap:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "trap",
    [
        Trap(eval, "open('/tmp/keras_t2i_trap', 'w')"),
        Trap(np.load, "a.npy"),
        Trap(np.array, [1]),
        {"a": 1},
        {1},
        range(3),
        object,
        np.array([{}]),
        np.array(["a"]),
        np.zeros(2, [("a", "f4")]),
        3 + 4j,
    ],
    # Not `str`, which differs between the processes of pytest-xdist.
    ids=lambda trap: type(trap).__name__,
)
def test_everything_else_is_refused(read, protocol, trap):
    with pytest.raises(ValueError, match="a.pickle, byte .*: expected"):
        read(pickle.dumps([trap], protocol))


def test_objects_that_are_built_are_refused(read):
    # Instructions that no array needs: classes of old, persistent ids, dicts.
    for instruction in b"ioP Q}ds\x81\x82\x92\x8f\x90\x91\x97\x98".replace(
        b" ", b""
    ):
        content = b"\x80\x02]" + bytes([instruction]) + b"a."
        with pytest.raises(ValueError, match="instructions that build lists"):
            read(content)


_DTYPE = (
    b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
    b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
_NEW = (
    b"cnumpy.core.multiarray\n_reconstruct\n"
    b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
)


def _array(shape=b"K\x02\x85", dtype=_DTYPE, data=b"U\x0800000000"):
    return b"]" + _NEW + b"(K\x01" + shape + dtype + b"\x89" + data + b"tba."


def _from_bytes(*order):
    """What protocol 5 calls, for one row of two numbers."""
    arguments = b"U\x0800000000" + _DTYPE + b"K\x01K\x02\x86" + b"".join(order)
    return b"]cnumpy.core.numeric\n_frombuffer\n(" + arguments + b"tRa."


def test_the_array_of_the_damages_is_whole(read):
    assert read(_array())[0].shape == (2,)
    assert read(_from_bytes(b"U\x01C"))[0].shape == (1, 2)
    assert read(_from_bytes(b"U\x01F"))[0].shape == (1, 2)
    axes = b"K\x01K\x00\x86"
    assert read(_from_bytes(b"U\x01K", axes))[0].shape == (2, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "1 more bytes. Received: 0"),
        (b"K\x01.", "a list. Received: int"),
        (b"].x", "the end of the file"),
        (b"]].", "the end of the file"),
        (b".", "a value. Received: none"),
        (b"(.", "a value. Received: none"),
        (b"a.", "a value. Received: none"),
        (b"K\x01K\x02a.", "a list. Received: int"),
        (b"l.", "a mark. Received: none"),
        (b"]h\x01a.", "a value kept as 1. Received: none"),
        (b"q\x01.", "a value to keep. Received: none"),
        (b"]Ixa\na.", "a number. Received: b'xa'"),
        (b"]I" + b"1" * 200 + b"\na.", "a line. Received"),
        (b"]I1", "a line. Received: one without end"),
        (b"]S'a\na.", "a string in quotes"),
        (b"]S'\\u0100'\na.", "a string. Received: other bytes"),
        (b"]X\x01\x00\x00\x00\xffa.", "text. Received: other bytes"),
        (b"]T\xff\xff\xff\x7fa.", "2147483647 more bytes. Received: 2"),
        (b"]T\xff\xff\xff\xffa.", "-1 more bytes. Received: 2"),
        (b"]\x8e" + b"\xff" * 8 + b"a.", "18446744073709551615 more bytes"),
        (
            b"]\x8a\xff" + bytes(255) + b"a.",
            "a number of 8 bytes. Received: 255",
        ),
        (b"]" + _NEW + b"a.", "an array's numbers. Received: none"),
        (b"]cnumpy\nndarray\n)Ra.", "no call of numpy ndarray"),
        (b"]cnumpy\ndtype\nK\x01Ra.", "a call of what makes NumPy"),
        (b"]K\x01)Ra.", "a call of what makes NumPy"),
        (b"]cos\nsystem\na.", "nothing to call .*'os system'"),
        (b"]K\x01K\x02\x93a.", "nothing to call .*''"),
        (b"]NNba.", "the state of an array"),
        (_array(dtype=b"K\x01"), "an array's type and shape"),
        (_array(shape=b"K\x03\x85"), "12 bytes for an array of shape"),
        (_array(shape=b"K\x00\x85"), "an array's type and shape"),
        (_array(shape=b"J\xff\xff\xff\xff\x85"), "an array's type and shape"),
        (_array(shape=b"\x8a\x07" + b"\x7f" * 7 + b"\x85"), "type and shape"),
        (_array(shape=b"]"), "an array's type and shape"),
        (_array(data=b"K\x05"), "8 bytes for an array of shape"),
        (_from_bytes(b"U\x01A"), "the order C, F or K"),
        (_from_bytes(b"N"), "the order C, F or K"),
        (_from_bytes(b"U\x01K"), "an order of all axes"),
        (_from_bytes(b"U\x01K", b"K\x01\x85"), "an order of all axes"),
        (_from_bytes(b"U\x01K", b"K\x00K\x00\x86"), "an order of all axes"),
        (_from_bytes(b"U\x01K", b"\x89\x88\x86"), "an order of all axes"),
        (_from_bytes(b"U\x01K", b"K\x01N\x86"), "an order of all axes"),
        (
            _array(dtype=_DTYPE.replace(b"f4", b"O8")),
            "one of the types .*Received: 'O8'",
        ),
        (
            _array(dtype=_DTYPE.replace(b"NNN", b"NK\x01N")),
            "a type of plain numbers",
        ),
    ],
)
def test_damages(read, content, message):
    with pytest.raises(ValueError, match=f"a.pickle, byte .*{message}"):
        read(content)


def test_text_is_not_encoded_again_and_again(read):
    text = b"X" + struct.pack("<i", 1000) + b"a" * 1000
    again = b"c_codecs\nencode\nh\x00U\x06latin1\x86Ra"
    assert read(b"]" + text + b"q\x000" + again + b".") == [b"a" * 1000]
    with pytest.raises(ValueError, match="less text to encode than the file"):
        read(b"]" + text + b"q\x000" + 100 * again + b".")


def test_an_array_of_very_many_rows_is_refused(read):
    content = pickle.dumps(np.zeros(1_000_001, "u1"), 2)
    with pytest.raises(ValueError, match="at most 1000000 rows"):
        read(content)


def test_the_number_of_instructions_has_a_limit(tmp_path):
    path = tmp_path / "a.pickle"
    # Empty lists are what takes most, for one byte of the file.
    path.write_bytes(b"](" + 400_000 * b"]" + b"e.")
    tracemalloc.start()
    assert len(read_pickled_list(path)) == 400_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Of the 4 million that are allowed, below 400 MB.
    assert peak < 100 * 400_000


@pytest.mark.large
def test_too_many_instructions(read):
    with pytest.raises(ValueError, match="at most 4000000 instructions"):
        read(b"](" + 4_000_000 * b"N" + b"e.")


def test_no_file(tmp_path):
    with pytest.raises(ValueError, match="a pickle. .*no regular file"):
        read_pickled_list("/dev/zero")
    with pytest.raises(FileNotFoundError, match="none"):
        read_pickled_list(tmp_path / "none")


# === Damaged files ===


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_damaged_files(tmp_path, protocol):
    content = pickle.dumps(VALUES + ARRAYS, protocol)
    path = tmp_path / "a.pickle"
    check_damaged_files(read_pickled_list, path, content, range(500))


@pytest.mark.large
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_many_damaged_files(tmp_path, protocol):
    content = pickle.dumps(VALUES + ARRAYS, protocol)
    path = tmp_path / "a.pickle"
    seeds = range(500, 10_500)
    check_damaged_files(read_pickled_list, path, content, seeds)
