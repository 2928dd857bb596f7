"""TFRecord shards: their records, written once and read at random."""

import contextlib
import dataclasses
import errno
import os
import pathlib
import resource
import weakref
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import EmbeddingManifest
from keras_t2i.datasets.manifest import Shard
from keras_t2i.datasets.manifest import Split
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.manifest import write_manifest
from keras_t2i.files import atomic_write
from keras_t2i.files import file_sha256
from keras_t2i.files import os_error
from keras_t2i.reading import UnusableFileError
from keras_t2i.tokenizers import untuned
from keras_t2i.types import StrPath

# A TFRecord frames each record with its length and two checksums.
_HEADER_SIZE = 12
_FOOTER_SIZE = 4


@dataclasses.dataclass(frozen=True)
class CaptionedImage:
    """One image with its captions, as a prepared data set holds it.

    `image` is a JPEG or PNG file of three channels. `class_id` is an index into
    the manifest's `class_names`, -1 without classes. `left_out` tells which
    captions of the raw files could not be used; it is not stored.
    """

    id: str
    image: bytes
    captions: tuple[str, ...]
    class_id: int = -1
    left_out: tuple[UnusableFileError, ...] = ()

    def serialize(self) -> bytes:
        """Returns the record as the bytes of a `tf.train.Example`."""
        return _serialize(
            image=[self.image],
            captions=[caption.encode("utf-8") for caption in self.captions],
            class_id=[self.class_id],
            id=[self.id.encode("utf-8")],
        )

    @classmethod
    def parse(cls, record: bytes) -> "CaptionedImage":
        """Reads what `serialize` wrote."""
        feature = tf.train.Example.FromString(record).features.feature
        captions = feature["captions"].bytes_list.value
        return cls(
            id=feature["id"].bytes_list.value[0].decode("utf-8"),
            image=feature["image"].bytes_list.value[0],
            captions=tuple(caption.decode("utf-8") for caption in captions),
            class_id=feature["class_id"].int64_list.value[0],
        )


@dataclasses.dataclass(frozen=True)
class EmbeddedCaptions:
    """The embeddings of all captions of one image, in their order.

    They are float32 of shape `(num_captions, embedding_dim)`.
    """

    id: str
    embeddings: np.ndarray

    def serialize(self) -> bytes:
        """Returns the record as the bytes of a `tf.train.Example`."""
        return _serialize(
            id=[self.id.encode("utf-8")],
            embeddings=[self.embeddings.astype("<f4").tobytes()],
            num_captions=[len(self.embeddings)],
        )

    @classmethod
    def parse(cls, record: bytes) -> "EmbeddedCaptions":
        """Reads what `serialize` wrote."""
        feature = tf.train.Example.FromString(record).features.feature
        values = np.frombuffer(
            feature["embeddings"].bytes_list.value[0], dtype="<f4"
        )
        num_captions = feature["num_captions"].int64_list.value[0]
        return cls(
            id=feature["id"].bytes_list.value[0].decode("utf-8"),
            embeddings=values.reshape(num_captions, -1),
        )


def _serialize(**values: list) -> bytes:
    features = {}
    for name, value in values.items():
        if isinstance(value[0], bytes):
            feature = tf.train.Feature(
                bytes_list=tf.train.BytesList(value=value)
            )
        else:
            feature = tf.train.Feature(
                int64_list=tf.train.Int64List(value=value)
            )
        features[name] = feature
    example = tf.train.Example(features=tf.train.Features(feature=features))
    # Deterministic: preparing twice must give the same bytes.
    return example.SerializeToString(deterministic=True)


@contextlib.contextmanager
def new_tfrecord_file(
    path: StrPath,
) -> Iterator[Callable[[bytes], None]]:
    """Gives a function that writes a record, bytes, to an atomic new file.

    The folder of `path` must exist. Raises an `OSError` that names the file if
    it cannot be written.
    """
    with atomic_write(path) as temporary:
        try:
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                yield writer.write
        except tf.errors.OpError as error:
            raise os_error(error.message, path) from None


class ShardReader:
    """Reads single records of a list of shards, which are verified first.

    All shards are read once, to verify their checksums and to learn where each
    record lies. After that, memory holds only those places, whatever the size
    of the data, and the scalar features that `columns` names with their dtypes,
    by default the ids. The attribute `columns` has an array of each, with one
    entry per record.
    Raises `ValueError` if a shard is not what the manifest says.
    """

    def __init__(
        self,
        directory: StrPath,
        shards: Sequence[Shard],
        columns: dict[str, tf.DType] | None = None,
    ):
        columns = columns or {"id": tf.string}
        paths = [pathlib.Path(directory) / shard.file for shard in shards]
        scans = [
            _verified_scan(path, shard, columns)
            for path, shard in zip(paths, shards)
        ]
        self.columns = {
            name: np.concatenate([kept[name] for _, kept in scans])
            for name in columns
        }
        framed = [sizes + _HEADER_SIZE + _FOOTER_SIZE for sizes, _ in scans]
        self._sizes = np.concatenate([sizes for sizes, _ in scans])
        self._offsets = np.concatenate(
            [np.cumsum(lengths) - lengths for lengths in framed]
        )
        self._offsets += _HEADER_SIZE
        self._files = np.repeat(
            np.arange(len(shards)), [len(sizes) for sizes, _ in scans]
        )
        # Read by position, not mapped: pages of a mapped file would count as
        # this process' memory.
        self._descriptors: list[int] = []
        weakref.finalize(self, _close, self._descriptors)
        for path in paths:
            self._descriptors.append(_opened(path, len(paths)))

    def __len__(self) -> int:
        return len(self._sizes)

    def read(self, index: int) -> bytes:
        """Returns the record at `index`, counted through all shards."""
        return os.pread(
            self._descriptors[self._files[index]],
            int(self._sizes[index]),
            int(self._offsets[index]),
        )


def _opened(path: pathlib.Path, num_files: int) -> int:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        raise ValueError(
            "A process must be able to open all shards of a data set. "
            f"Received: no room for the {num_files} of {path.parent}, with a "
            f"limit of {limit} files. Raise it: `ulimit -n "
            f"{2 * limit + 2 * num_files}`."
        ) from None


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _verified_scan(
    path: pathlib.Path, shard: Shard, columns: dict[str, tf.DType]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns the size of each record of a shard, and the columns."""
    try:
        digest = file_sha256(path)
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
    try:
        batches = _scan(path, columns)
    except (
        tf.errors.DataLossError,
        tf.errors.InvalidArgumentError,
        # TensorFlow quotes bytes of the record in its message.
        UnicodeDecodeError,
    ):
        raise ValueError(
            f"{path} must hold the records that its manifest lists. Received: "
            "records that cannot be read. Make the folder again."
        ) from None
    num_records = sum(len(sizes) for sizes, _ in batches)
    if num_records != shard.num_records:
        raise ValueError(
            f"{path} must hold {shard.num_records} records, as its manifest "
            f"says. Received: {num_records} records. Make the folder again."
        )
    sizes = np.concatenate([sizes for sizes, _ in batches]).astype(np.int64)
    kept = {
        name: np.concatenate([values[name] for _, values in batches])
        for name in columns
    }
    return sizes, kept


def _scan(
    path: pathlib.Path, columns: dict[str, tf.DType]
) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    features = {
        name: tf.io.FixedLenFeature([], dtype)
        for name, dtype in columns.items()
    }

    @tf.autograph.experimental.do_not_convert
    def parse(records: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        parsed = tf.io.parse_example(records, features)
        return tf.strings.length(records), parsed

    # Few at a time: whole records, images included, pass through memory.
    batches = tf.data.TFRecordDataset(str(path)).batch(64).map(parse)
    return list(untuned(batches).as_numpy_iterator())


def write_embeddings(
    data_path: StrPath,
    out_path: StrPath,
    rows_of: Callable[[list[CaptionedImage]], Iterable[np.ndarray]],
    fingerprint: Callable[[], str],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes the embeddings or features of all images of a data set.

    `out_path` is a folder that may exist. `rows_of` maps the images of a shard
    to an array of shape `(num_rows, dim)` for each of them, in their order.
    `fingerprint` is called last, and returns that of the manifest. `progress`
    gets the numbers of images done and of all images. Raises `ValueError` if
    `out_path` holds a manifest, or the data set is damaged.
    """
    manifest, dim = read_manifest(data_path), 0
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
    splits = {}
    for name, split in manifest.splits.items():
        shards, num_rows = [], 0
        for shard in split.shards:
            reader = ShardReader(data_path, [shard], {"id": tf.string})
            examples = [
                CaptionedImage.parse(reader.read(i)) for i in range(len(reader))
            ]
            path = out_path / shard.file
            with new_tfrecord_file(path) as write:
                for example, rows in zip(examples, rows_of(examples)):
                    write(EmbeddedCaptions(example.id, rows).serialize())
                    num_rows, dim = num_rows + len(rows), rows.shape[1]
                    done += 1
                    if progress is not None:
                        progress(done, total)
            shards.append(Shard(shard.file, file_sha256(path), len(examples)))
        splits[name] = Split(split.num_images, num_rows, tuple(shards))
    # Last: a folder without manifest does not count as embeddings.
    digest = data_fingerprint(manifest)
    write_manifest(
        out_path, EmbeddingManifest(dim, digest, fingerprint(), splits)
    )
