"""Reads NumPy's array files, from strangers too."""

import io
import math

import numpy as np

# An array's header is some hundred bytes; NumPy itself refuses more.
_MAX_HEADER = 16 * 1024


def read_npy(content: bytes, name: str) -> np.ndarray:
    """Reads the content of a `.npy` file.

    Nothing is executed, and no size in the content is trusted before it is
    compared with the content itself.

    Args:
        content: bytes.
        name: string. What messages call it.

    Returns:
        Array of numbers, strings, or named fields of them.

    Raises:
        ValueError: the content is damaged, or holds Python objects.

    Example:

    >>> import io
    >>> from keras_t2i.formats.npy_files import read_npy
    >>> file = io.BytesIO()
    >>> np.save(file, np.arange(3.0))
    >>> read_npy(file.getvalue(), "some.npy")
    array([0., 1., 2.])
    """
    file = io.BytesIO(content[:_MAX_HEADER])
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, is_fortran, dtype = read_header(file)
    # NumPy reads the header as a Python literal, which fails in many ways.
    except Exception as error:
        raise _damaged(
            name, f"a header that can not be read ({error})"
        ) from None
    if dtype.hasobject:
        raise _damaged(
            name, "Python objects, which are not read from files of others"
        )
    start = file.tell()
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != len(content) - start:
        raise _damaged(
            name,
            f"{len(content) - start} bytes for shape {shape} of {dtype}",
        )
    if not dtype.itemsize:
        raise _damaged(name, f"the type {dtype}")
    array = np.frombuffer(content, dtype, offset=start)
    return array.reshape(shape, order="F" if is_fortran else "C")


def _damaged(name, received):
    return ValueError(
        f"{name} must be a .npy file of numbers. Received: {received}. Save it "
        "again by `numpy.save`."
    )
