"""Writes arrays of the images of a data set, one shard for each of its own."""

import os
import pathlib
from collections.abc import Callable
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import Shard
from keras_t2i.datasets.manifest import Split
from keras_t2i.datasets.records import CaptionedImage
from keras_t2i.datasets.records import EmbeddedCaptions
from keras_t2i.datasets.shard_reader import ShardReader
from keras_t2i.datasets.shard_writer import file_sha256
from keras_t2i.datasets.tfrecord_file import new_tfrecord_file


def write_embedding_shards(
    manifest: Manifest,
    data_path: str | os.PathLike,
    out_path: str | os.PathLike,
    rows_of: Callable[[list[CaptionedImage]], Iterable[np.ndarray]],
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Split]:
    """Writes the embeddings or features of all images of a data set.

    Args:
        manifest: `Manifest` of the data set.
        data_path: path of the folder of the data set.
        out_path: path of the folder to write to; it may exist, but must not
            hold a manifest.
        rows_of: function of the images of a shard to an array of shape
            `(num_rows, dim)` for each of them, in their order.
        progress: function of the number of images done and of all images.
            Defaults to `None`.

    Returns:
        dict of split names to `Split`, for the manifest of the embeddings.

    Raises:
        ValueError: `out_path` holds a manifest, or the data set is damaged.
    """
    out_path = pathlib.Path(out_path)
    if (out_path / MANIFEST_FILE).exists():
        raise ValueError(
            "`out_path` must not hold a data set or embeddings yet. Received: "
            f"{str(out_path)!r}, with a {MANIFEST_FILE}. Name another folder, "
            "or remove this one."
        )
    out_path.mkdir(parents=True, exist_ok=True)
    total = sum(split.num_images for split in manifest.splits.values())
    done = 0

    def report():
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    splits = {}
    for name, split in manifest.splits.items():
        shards, num_rows = [], 0
        for shard in split.shards:
            written, count = _write_shard(
                data_path, shard, out_path, rows_of, report
            )
            shards.append(written)
            num_rows += count
        splits[name] = Split(split.num_images, num_rows, tuple(shards))
    return splits


def _write_shard(data_path, shard, out_path, rows_of, report):
    reader = ShardReader(data_path, [shard], {"id": tf.string})
    examples = [
        CaptionedImage.parse(reader.read(i)) for i in range(len(reader))
    ]
    num_rows = 0
    path = out_path / shard.file
    with new_tfrecord_file(path) as write:
        for example, rows in zip(examples, rows_of(examples)):
            write(EmbeddedCaptions(example.id, rows).serialize())
            num_rows += len(rows)
            report()
    return Shard(shard.file, file_sha256(path), len(examples)), num_rows
