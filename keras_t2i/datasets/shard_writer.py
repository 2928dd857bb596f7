"""Writes one shard of a prepared data set."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable
from collections.abc import Sequence

from keras_t2i.datasets.long_captions import is_long_caption
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import Source
from keras_t2i.datasets.source import UnusableFileError
from keras_t2i.datasets.tfrecord_file import new_tfrecord_file


@dataclasses.dataclass(frozen=True)
class WrittenShard:
    """What one shard holds.

    Args:
        num_records: int. With none, there is no file.
        num_captions: int.
        num_long_captions: int. Those of which an encoder reads a part only.
        class_ids: list of ints. The classes in it, sorted.
        sha256: string. 64 hexadecimal digits, of the whole file.
        skipped: list of strings. Files that could not be used, and why.
    """

    num_records: int
    num_captions: int
    num_long_captions: int
    class_ids: list[int]
    sha256: str
    skipped: list[str]


def write_shard(
    source: Source,
    keys: Sequence[Key],
    path: str | os.PathLike,
    *,
    image_size: int,
    strict: bool,
    on_image: Callable[[], None],
) -> WrittenShard:
    """Reads examples and writes them as one TFRecord file.

    Args:
        source: `Source` to read from.
        keys: list of the keys to read, in order.
        path: path of the file, which is there only once it is whole.
        image_size: int, in pixels.
        strict: bool. Whether a file that can not be used is an error.
        on_image: function without arguments, called before each image.

    Returns:
        `WrittenShard`.

    Raises:
        UnusableFileError: a file can not be used, with `strict`.
        OSError: the shard can not be written.
    """
    path = pathlib.Path(path)
    skipped, class_ids, num_captions, num_long = [], [], 0, 0
    with new_tfrecord_file(path) as write:
        for key in keys:
            on_image()
            try:
                record = source.read(key, image_size)
            except UnusableFileError as error:
                if strict:
                    raise
                skipped.append(str(error))
                continue
            write(record.serialize())
            class_ids.append(record.class_id)
            num_captions += len(record.captions)
            num_long += sum(map(is_long_caption, record.captions))
    sha256 = file_sha256(path)
    if not class_ids:
        path.unlink()
    return WrittenShard(
        num_records=len(class_ids),
        num_captions=num_captions,
        num_long_captions=num_long,
        class_ids=sorted(set(class_ids)),
        sha256=sha256,
        skipped=skipped,
    )


def file_sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
