import io
import struct

import numpy as np
import pytest

from keras_t2i.formats.array_files import read_npy


def _content(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(1.5, ">f4"),
        np.zeros((0, 3), "f2"),
        np.array(["a", "é"]),
        np.array([("a", [1, 2])], [("id", "U4"), ("embeddings", "f4", (2,))]),
    ],
)
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_arrays(array, version):
    read = read_npy(_content(array, version=version), "a.npy")
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(read, array)


def _with_header(header, data=b""):
    header = header.encode().ljust(117) + b"\n"
    length = struct.pack("<H", len(header))
    return b"\x93NUMPY\x01\x00" + length + header + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "header that cannot be read"),
        (b"PK\x03\x04", "header that cannot be read"),
        (_content([1.0, 2.0])[:-1], r"Received: 15 bytes for shape \(2,\)"),
        (_content([1.0, 2.0]) + b"x", "Received: 17 bytes for shape"),
        (
            _content(np.array([{}]), allow_pickle=True),
            "Python objects, which are not read",
        ),
        (
            _with_header(
                "{'descr': '<f4', 'fortran_order': False, 'shape': (10**12,)}"
            ),
            "header that cannot be read",
        ),
        (
            _with_header(
                "{'descr': '<f4', 'fortran_order': False, "
                "'shape': (1000000000000,)}",
                b"1234",
            ),
            r"4 bytes for shape \(1000000000000,\)",
        ),
        (
            _with_header(
                "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1)}",
                b"1234",
            ),
            r"4 bytes for shape \(-1, -1\)",
        ),
        (
            _with_header(
                "{'descr': '<U0', 'fortran_order': False, 'shape': (2,)}"
            ),
            "the type <U0",
        ),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "header that cannot be read"),
        (b"\x93NUMPY\x09\x00" + bytes(200), "header that cannot be read"),
    ],
)
def test_damages(content, message):
    with pytest.raises(ValueError, match=f"^a.npy must be .*{message}"):
        read_npy(content, "a.npy")
