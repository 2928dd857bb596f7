"""Random access to the records of TFRecord shards."""

import hashlib
import os
import pathlib
import weakref
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_t2i.datasets.manifest import Shard
from keras_t2i.untuned import untuned

# A TFRecord frames each record with its length and two checksums.
_HEADER_SIZE = 12
_FOOTER_SIZE = 4


class ShardReader:
    """Reads single records of a list of shards, which are verified first.

    The whole list is read once, to verify the checksums and to learn where
    each record lies; after that, memory holds only those places, whatever the
    size of the data.

    Args:
        directory: path. Where the shards are.
        shards: list of `Shard`.
        columns: dict of names to dtypes. Scalar features to keep in memory, as
            arrays of one entry a record in `columns`.

    Raises:
        ValueError: a shard is not what the manifest says.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        shards: Sequence[Shard],
        columns: dict[str, tf.DType],
    ):
        features = {
            name: tf.io.FixedLenFeature([], dtype)
            for name, dtype in columns.items()
        }
        files, offsets, sizes = [], [], []
        kept = {name: [] for name in columns}
        for place, shard in enumerate(shards):
            path = pathlib.Path(directory) / shard.file
            _verify_digest(path, shard)
            try:
                shard_sizes, shard_columns = _scan(path, features)
            except (
                tf.errors.DataLossError,
                tf.errors.InvalidArgumentError,
                # TensorFlow quotes bytes of the record in its message.
                UnicodeDecodeError,
            ):
                raise ValueError(
                    f"{path} must hold the records that its manifest lists. "
                    "Received: records that can not be read. Make the folder "
                    "again."
                ) from None
            if len(shard_sizes) != shard.num_records:
                raise ValueError(
                    f"{path} must hold {shard.num_records} records, as its "
                    f"manifest says. Received: {len(shard_sizes)} records. "
                    "Make the folder again."
                )
            framed = shard_sizes + _HEADER_SIZE + _FOOTER_SIZE
            files.append(np.full(len(shard_sizes), place))
            offsets.append(np.cumsum(framed) - framed + _HEADER_SIZE)
            sizes.append(shard_sizes)
            for name, values in shard_columns.items():
                kept[name].append(values)
        self._files = np.concatenate(files)
        self._offsets = np.concatenate(offsets)
        self._sizes = np.concatenate(sizes)
        self.columns = {
            name: np.concatenate(values) for name, values in kept.items()
        }
        # Read by position, not mapped: pages of a mapped file would count as
        # this process' memory.
        self._descriptors = [
            os.open(pathlib.Path(directory) / shard.file, os.O_RDONLY)
            for shard in shards
        ]
        weakref.finalize(self, _close, self._descriptors)

    def __len__(self) -> int:
        return len(self._sizes)

    def read(self, index: int) -> bytes:
        """Returns the record at `index`, counted through all shards."""
        return os.pread(
            self._descriptors[self._files[index]],
            int(self._sizes[index]),
            int(self._offsets[index]),
        )


def _close(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)


def _verify_digest(path, shard):
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise ValueError(
            f"{path} must be there, as its manifest says. Received: no such "
            "file. Make the folder again."
        ) from None
    if digest != shard.sha256:
        raise ValueError(
            f"{path} must have the SHA-256 that its manifest says, "
            f"{shard.sha256}. Received: {digest}. The file is damaged or from "
            "another data set: make the folder again."
        )


def _scan(path, features):
    def columns(records):
        parsed = tf.io.parse_example(records, features)
        return {**parsed, "": tf.strings.length(records)}

    # Few at a time: whole records, images included, pass through memory.
    batches = tf.data.TFRecordDataset(str(path)).batch(64).map(columns)
    batches = list(untuned(batches).as_numpy_iterator())
    if not batches:
        raise ValueError(
            f"{path} must hold at least one record. Received: an empty file."
        )
    joined = {
        name: np.concatenate([batch[name] for batch in batches])
        for name in batches[0]
    }
    return joined.pop("").astype(np.int64), joined
