"""A TFRecord file that is whole or not there."""

import contextlib
import errno
import os
from collections.abc import Callable
from collections.abc import Iterator

import tensorflow as tf

from keras_t2i.files import replace_when_whole


@contextlib.contextmanager
def new_tfrecord_file(
    path: str | os.PathLike,
) -> Iterator[Callable[[bytes], None]]:
    """Gives a function that writes records to what becomes `path` in the end.

    Args:
        path: path of the file to write. Its folder must be there.

    Returns:
        Context manager of a function that writes a record, bytes.

    Raises:
        OSError: the file can not be written; the error names it.
    """
    with replace_when_whole(path) as temporary:
        try:
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                yield writer.write
        except tf.errors.OpError as error:
            raise _os_error(error, path) from None


def _os_error(error, path):
    # TensorFlow's message ends in the operating system's words.
    reason = error.message.rpartition("; ")[2]
    codes = {os.strerror(code): code for code in errno.errorcode}
    return OSError(codes.get(reason, errno.EIO), reason, str(path))
