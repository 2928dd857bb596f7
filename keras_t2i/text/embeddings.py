"""Embeddings of all captions of a data set, extracted once."""

import hashlib
import os
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_t2i.datasets.embedding_manifest import EmbeddingManifest
from keras_t2i.datasets.embedding_manifest import data_fingerprint
from keras_t2i.datasets.embedding_manifest import write_embedding_manifest
from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import Shard
from keras_t2i.datasets.manifest import Split
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.records import CaptionedImage
from keras_t2i.datasets.records import EmbeddedCaptions
from keras_t2i.datasets.shard_reader import ShardReader
from keras_t2i.files import replace_when_whole
from keras_t2i.text.fingerprint import embeddings_fingerprint
from keras_t2i.text.tokenizer import tokenize_for

_BATCH_SIZE = 256


def embed_texts(encoder, texts: list[str]) -> np.ndarray:
    """Embeds texts, each different one once.

    Args:
        encoder: `keras.Model` from `char_ids` to embeddings.
        texts: list of strings.

    Returns:
        float32 array of shape `(len(texts), embedding_dim)`.

    Raises:
        ValueError: there are no texts.

    Example:

    >>> encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16)
    >>> keras_t2i.text.embed_texts(encoder, ["a rose", "a tulip"]).shape
    (2, 16)
    """
    # Half a surrogate pair, which Python allows, is invalid UTF-8 and replaced
    # later like any other.
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    # Objects: an array of bytes would give each text the longest one's size.
    if not texts:
        raise ValueError("`texts` must hold at least one. Received: none")
    unique, places = np.unique(np.array(encoded, object), return_inverse=True)
    dataset = tf.data.Dataset.from_tensor_slices(unique)
    dataset = dataset.batch(_BATCH_SIZE)
    dataset = dataset.map(lambda texts: tokenize_for(encoder, texts))
    embeddings = encoder.predict(dataset.prefetch(2), verbose=0)
    return np.asarray(embeddings, np.float32)[places]


def extract_embeddings(
    encoder,
    data_path: str | os.PathLike,
    out_path: str | os.PathLike,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Embeds all captions of a prepared data set.

    Writes one shard of embeddings for each shard of images, with the same
    keys in the same order, for `make_dataset(..., text_embeddings=out_path)`.

    Args:
        encoder: `keras.Model` from `char_ids` to embeddings, such as
            `CharCNNRNN`.
        data_path: path. Folder that `keras-t2i prepare` wrote.
        out_path: path. Folder to write to; it may be there, but not hold
            embeddings.
        progress: function of the number of images done and of all images.
            Defaults to `None`.

    Raises:
        ValueError: the data set is damaged, or `out_path` holds embeddings or
            a data set.
    """
    out_path = pathlib.Path(out_path)
    manifest = read_manifest(data_path)
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
        shards = []
        for shard in split.shards:
            shards.append(_embed_shard(encoder, data_path, shard, out_path))
            done += shard.num_records
            if progress is not None:
                progress(done, total)
        splits[name] = Split(
            split.num_images, split.num_captions, tuple(shards)
        )
    # Last: the folder counts as embeddings only when all of it is there.
    write_embedding_manifest(
        out_path,
        EmbeddingManifest(
            encoder.output_shape[-1],
            data_fingerprint(manifest),
            embeddings_fingerprint(manifest, encoder),
            splits,
        ),
    )


def _embed_shard(encoder, data_path, shard, out_path):
    reader = ShardReader(data_path, [shard], {"id": tf.string})
    examples = [
        CaptionedImage.parse(reader.read(i)) for i in range(len(reader))
    ]
    embeddings = embed_texts(
        encoder, [text for example in examples for text in example.captions]
    )
    ends = np.cumsum([len(example.captions) for example in examples])
    path = out_path / shard.file
    with replace_when_whole(path) as temporary:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for example, rows in zip(examples, np.split(embeddings, ends[:-1])):
                writer.write(EmbeddedCaptions(example.id, rows).serialize())
        with open(temporary, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Shard(shard.file, digest, len(examples))
