import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from keras_t2i.formats.pickled_list import read_pickled_list
from tests.damaged_files import check_damaged_files
from tests.damaged_files import is_refused

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
    refused = "a.pickle must be .*(it names|the instruction|array of the type)"
    with pytest.raises(ValueError, match=refused):
        read(pickle.dumps([trap], protocol))


def test_objects_that_are_built_are_refused(read):
    # Instructions that no array needs: classes of old, persistent ids, dicts,
    # sets, extensions, buffers, numbers of gigabytes.
    for (
        instruction
    ) in b"ioPQ}dsu12\x81\x82\x83\x84\x8b\x92\x8f\x90\x91\x97\x98\x00\xff":
        content = b"\x80\x02]" + bytes([instruction]) + b"a."
        with pytest.raises(ValueError, match="byte 3: the instruction"):
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


_BEYOND = "an instruction beyond the end of the file"
_DOES_NOT_FIT = "an array whose type, shape and bytes do not fit"
_NO_NEW_ARRAY = "the numbers of something else than a new array"
_OTHER_ORDER = "an array in another order than C, F or K"
_STATE = b"(K\x01K\x02\x85" + _DTYPE + b"\x89U\x0800000000tb"
_LARGE_INT = b"\x8a\x08" + b"\xff" * 7 + b"\x7f"


def _nested(first, times):
    """A value of 2 to the power of `times` parts, in four bytes a time."""
    places = [bytes([place]) for place in range(times)]
    return first + b"".join(b"q" + p + b"h" + p + b"\x86" for p in places)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", _BEYOND),
        (b"K\x01.", "int in place of a list"),
        (b"].x", "byte 2: more, behind the end of the list"),
        (b"]..", "byte 2: more, behind the end of the list"),
        (b"]]", _BEYOND),
        (b".", "stack underflow"),
        (b"(.", "unexpected MARK"),
        (b"a.", "stack underflow"),
        (b"K\x01K\x02a.", "'int' object has no attribute 'append'"),
        (b"l.", "could not find MARK"),
        (b"\x80\xff].", "unsupported pickle protocol"),
        # === Places to keep values at ===
        (b"]h\x01a.", "Memo value not found at index 1"),
        (b"]g-1\na.", "Memo value not found at index -1"),
        (b"]g" + b"9" * 90 + b"\na.", "int too large"),
        (b"]j\xff\xff\xff\xffa.", "Memo value not found"),
        (b"q\x00.", "stack underflow"),
        (b"q\x01.", "a place that is too large"),
        (b"]q\xff.", "byte 1: a value to keep at a place that is too large"),
        (b"]r\xff\xff\xff\x7f.", "a place that is too large"),
        (b"]p999999999\n.", "a place that is too large"),
        (b"]p" + b"9" * 5000 + b"\n.", "a line without end, or a long word"),
        (b"]p-1\n.", "a place that is too large"),
        (b"]p1_0\n.", "a place that is too large"),
        (b"]p0x1\n.", "a place that is too large"),
        (b"]p\n.", "a place that is too large"),
        # === Numbers and strings ===
        (b"]Ixa\na.", "could not convert string to int"),
        (b"]I" + b"1" * 200 + b"\na.", "a line without end, or a long word"),
        (b"]L" + b"1" * 10**6 + b"L\na.", "a line without end, or a long word"),
        (
            b"]F0." + b"1" * 10**6 + b"\na.",
            "a line without end, or a long word",
        ),
        (b"]F1e999\na.", "too large"),
        (b"]I1", "a line without end"),
        (b"]S'a\na.", "must be quoted"),
        (b"]X\x01\x00\x00\x00\xffa.", "can't decode byte 0xff"),
        (b"]T\xff\xff\xff\x7fa.", "byte 1: " + _BEYOND),
        (b"]T\xff\xff\xff\xffa.", _BEYOND),
        (b"]B\xff\xff\xff\xffa.", _BEYOND),
        (b"]X\xff\xff\xff\xffa.", _BEYOND),
        (b"]\x8e" + b"\xff" * 8 + b"a.", _BEYOND),
        (b"]\x8e" + struct.pack("<Q", 2**33) + b"a.", _BEYOND),
        (b"]\x8d" + struct.pack("<Q", 2**33) + b"a.", _BEYOND),
        (b"]\x96" + struct.pack("<Q", 2**33) + b"a.", _BEYOND),
        (b"]\x8a\xff" + bytes(255) + b"a.", "a number of 255 bytes"),
        (b"]\x8b\xff\xff\xff\x7fa.", "the instruction"),
        # === Calls ===
        (b"]" + _NEW + b"a.", "an array without numbers"),
        (_NEW + b".", "an array without numbers"),
        (b"]" + _NEW + b")Ra.", "'_Array' object is not callable"),
        (b"]cnumpy\nndarray\n)Ra.", "'NoneType' object is not callable"),
        (b"]cnumpy\ndtype\nK\x01Ra.", "argument list must be a tuple"),
        (b"]cnumpy\ndtype\n" + _nested(b"K\x01", 40) + b"Ra.", "the type None"),
        (b"]cnumpy\ndtype\nK\x01ba.", "__setstate__"),
        (b"]K\x01)Ra.", "'int' object is not callable"),
        (b"]cos\nsystem\na.", "it names 'os' 'system'"),
        (b"]cnumpy\r\ndtype\na.", r"it names 'numpy\\r' 'dtype'"),
        (b"]c\xff\ndtype\na.", "can't decode byte 0xff"),
        (b"]K\x01K\x02\x93a.", "STACK_GLOBAL requires str"),
        (b"]U\x05numpyU\x05dtype\x93a.", "STACK_GLOBAL requires str"),
        (
            b"]\x8c\x05numpy\x8c\x0fdtype.__class__\x93a.",
            "it names 'numpy' 'dt",
        ),
        (b"]\x8c\x08builtins\x8c\x04eval\x93a.", "it names 'builtins' 'eval'"),
        (b"]\x8c\x03\xed\xa0\x80\x8c\x01a\x93a.", r"it names '\\ud800' 'a'"),
        (b"]\x8c\x00\x8c\x00\x93a.", "it names '' ''"),
        (b"]c_codecs\nencode\nU\x01aU\x06latin1\x86Ra.", "to encode as latin1"),
        (
            b"]c_codecs\nencode\nX\x01\0\0\0aU\x03hex\x86Ra.",
            "to encode as latin1",
        ),
        (b"]c_codecs\nencode\n(NNNNtRa.", "positional arguments"),
        # === States of what is no new array ===
        (b"]]K\x01ba.", "state is not a dictionary"),
        (b"]c_codecs\nencode\n(NK\x01tba.", "state is not a dictionary"),
        (b"]" + _NEW + b"K\x01ba.", "cannot unpack"),
        (b"]" + _NEW + b"(" + b"N" * 1000 + b"tba.", "too many values"),
        (b"]" + _NEW + 2 * _STATE + b"a.", _NO_NEW_ARRAY),
        (_from_bytes(b"U\x01C")[:-2] + _STATE + b"a.", _NO_NEW_ARRAY),
        # === Arrays ===
        (_array(dtype=b"K\x01"), _DOES_NOT_FIT),
        (_array(shape=b"K\x03\x85"), _DOES_NOT_FIT),
        (_array(shape=b"K\x00\x85"), _DOES_NOT_FIT),
        (_array(shape=b"J\xff\xff\xff\xff\x85"), _DOES_NOT_FIT),
        (_array(shape=b"\x8a\x07" + b"\x7f" * 7 + b"\x85"), _DOES_NOT_FIT),
        (_array(shape=b"(" + 8 * _LARGE_INT + b"t"), _DOES_NOT_FIT),
        (_array(shape=b"(K\x02" + 64 * b"K\x01" + b"t"), _DOES_NOT_FIT),
        (_array(shape=b"\x88K\x02\x86"), _DOES_NOT_FIT),
        (_array(shape=b"]"), _DOES_NOT_FIT),
        (_array(shape=_nested(b"K\x01", 40)), _DOES_NOT_FIT),
        (_array(data=b"K\x05"), _DOES_NOT_FIT),
        (_from_bytes(b"U\x01A"), _OTHER_ORDER),
        (_from_bytes(b"N"), _OTHER_ORDER),
        (_from_bytes(b"U\x01K"), _OTHER_ORDER),
        (_from_bytes(b"U\x01K", b"K\x01\x85"), "axes don't match array"),
        (_from_bytes(b"U\x01K", b"K\x00K\x00\x86"), "repeated axis"),
        (_from_bytes(b"U\x01K", b"\x89\x88\x86"), "an integer is required"),
        (_from_bytes(b"U\x01K", b"K\x01N\x86"), "as an integer"),
        (_array(dtype=_DTYPE.replace(b"f4", b"O8")), "of the type 'O8'"),
        (_array(dtype=_DTYPE.replace(b"f4", b"V9")), "of the type 'V9'"),
        (_array(dtype=_DTYPE.replace(b"f4", b"M8")), "of the type 'M8'"),
        (
            _array(dtype=_DTYPE.replace(b"NNN", b"NK\x01N")),
            "an array of something else than plain numbers",
        ),
        (
            _array(dtype=_DTYPE.replace(b"<", b"S")),
            "an array of something else than plain numbers",
        ),
        (_array(dtype=b"cnumpy\ndtype\nU\x02f4\x85R)b"), "out of range"),
    ],
    # Not the contents, some of which are megabytes.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damages(tmp_path, content, message):
    path = tmp_path / "a.pickle"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"a.pickle must be .*{message}"):
        read_pickled_list(path)
    # Not one of them takes much time or memory.
    assert is_refused(
        read_pickled_list, path, 4 * len(content) + 300_000, 1, message
    )


@pytest.mark.parametrize(
    ("content", "value"),
    [
        # Values that are left over, a state of nothing, an escape of text.
        (b"]].", []),
        (b"]NNba.", [None]),
        (b"]S'\\u0100'\na.", [rb"\u0100"]),
        # Frames of any length: they only say how much to read at once.
        (b"\x80\x04\x95" + b"\xff" * 8 + b"]K\x07a.", [7]),
        (b"\x80\x04\x95" + bytes(8) + b"]K\x07a.", [7]),
        (b"]C\x09\x95" + b"\xff" * 8 + b"a.", [b"\x95" + b"\xff" * 8]),
    ],
)
def test_what_python_overlooks_does_no_harm(read, content, value):
    assert read(content) == value


def test_a_frame_cannot_hide_an_instruction(read):
    # A frame that ends within the bytes of `C`: `Unpickler` would go on behind
    # it, at an instruction that asks for 32 GB.
    hidden = b"r\xff\xff\xff\x7f"
    frame = b"\x80\x04\x95" + struct.pack("<Q", 6)
    data = b"0123" + hidden
    content = frame + b"]C" + bytes([len(data)]) + data + b"a."
    assert read(content) == [data]


def test_lists_of_very_many_parts(tmp_path):
    # 2 to the power of 200 numbers, were they written down.
    lists = b"".join(
        b"]q" + bytes([place + 1]) + b"(" + 2 * (b"h" + bytes([place])) + b"e"
        for place in range(200)
    )
    path = tmp_path / "a.pickle"
    path.write_bytes(b"]q\x00" + lists + b".")
    assert not is_refused(read_pickled_list, path, 100_000, 1, 0)
    path.write_bytes(b"](" + _nested(b"K\x01", 200) + b"e.")
    assert not is_refused(read_pickled_list, path, 100_000, 1, 0)


def test_deep_lists(read):
    depth = 100_000
    value = read(b"]" * depth + b"a" * (depth - 1) + b".")
    for _ in range(depth - 1):
        (value,) = value
    assert value == []
    (value,) = read(b"]N" + b"\x85" * depth + b"a.")
    assert len(value) == 1


@pytest.mark.parametrize("order", [b"<", b">"])
@pytest.mark.parametrize("kind", [b"bytes", b"text", b"frombuffer"])
def test_the_same_bytes_are_not_read_again_and_again(read, kind, order):
    data = {b"bytes": b"B", b"text": b"X"}.get(kind, b"B")
    data += struct.pack("<I", 40_000) + b"0" * 40_000 + b"q\x010"
    dtype = _DTYPE.replace(b"<", order) + b"q\x020"
    shape = b"M" + struct.pack("<H", 10_000) + b"\x85"
    again = _NEW + b"(K\x01" + shape + b"h\x02\x89h\x01tba"
    if kind == b"frombuffer":
        again = b"cnumpy.core.numeric\n_frombuffer\n"
        again += b"(h\x01h\x02" + shape + b"U\x01CtRa"
    content = b"]" + data + dtype
    assert read(content + again + b".")[0].dtype.newbyteorder("=") == "f4"
    with pytest.raises(ValueError, match="of more bytes than the file has"):
        read(content + 100 * again + b".")


def test_text_is_not_encoded_again_and_again(read):
    text = b"X" + struct.pack("<i", 1000) + b"a" * 1000
    again = b"c_codecs\nencode\nh\x00U\x06latin1\x86Ra"
    assert read(b"]" + text + b"q\x000" + again + b".") == [b"a" * 1000]
    with pytest.raises(ValueError, match="text of more bytes than the file"):
        read(b"]" + text + b"q\x000" + 100 * again + b".")


def test_an_array_of_very_many_rows_is_refused(read):
    content = pickle.dumps(np.zeros(1_000_001, "u1"), 2)
    with pytest.raises(ValueError, match="more than 1000000 rows"):
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
    with pytest.raises(ValueError, match="more than 4000000 instructions"):
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


_PARTS = [
    *[bytes([code]) for code in b"(0N\x88\x89]ael)t\x85\x86\x87\x94\x93Rb" * 2],
    *[b"h" + bytes([place]) for place in range(3)],
    *[b"q" + bytes([place]) for place in range(3)],
    *(_NEW, _DTYPE, _STATE, b"K\x01", b"K\x02", b"I5\n", b"S'a'\n"),
    *(b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"c_codecs\nencode\n"),
    *(b"cnumpy.core.numeric\n_frombuffer\n", b"\x8c\x05numpy\x8c\x05dtype"),
    *(b"cnumpy.core.multiarray\nscalar\n", b"U\x0800000000", b"U\x01C"),
    *(b"\x96\x08\0\0\0\0\0\0\0" + b"0" * 8, b"X\x08\0\0\0" + b"0" * 8),
    *(b"U\x06latin1", b"\x95\x05\0\0\0\0\0\0\0", b"\x80\x04", b"r\x01\0\0\0"),
]


@pytest.mark.parametrize("seeds", [range(1000)])
def test_instructions_at_random(tmp_path, seeds):
    path = tmp_path / "a.pickle"
    refused = 0
    for seed in seeds:
        generator = np.random.default_rng(seed)
        parts = generator.integers(len(_PARTS), size=generator.integers(1, 25))
        content = b"]" + b"".join(_PARTS[part] for part in parts) + b"."
        path.write_bytes(content)
        most = 4 * len(content) + 300_000
        refused += is_refused(read_pickled_list, path, most, 1, seed)
    assert len(seeds) / 2 < refused < len(seeds)
