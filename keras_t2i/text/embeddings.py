"""Embeddings of all captions of a data set: extracted once, or imported."""

import hashlib
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.examples import images_of_class
from keras_t2i.datasets.manifest import EmbeddingManifest
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.manifest import write_manifest
from keras_t2i.datasets.published_embeddings import match_names
from keras_t2i.datasets.published_embeddings import open_published_embeddings
from keras_t2i.datasets.shards import write_embedding_shards
from keras_t2i.tokenizers import count_cut
from keras_t2i.tokenizers import cuts_of
from keras_t2i.tokenizers import tokenize_for
from keras_t2i.tokenizers import utf8
from keras_t2i.untuned import untuned

_BATCH_SIZE = 256


def embed_texts(encoder, texts: list[str]) -> np.ndarray:
    """Embeds texts, each different one once.

    Args:
        encoder: `keras.Model` from `token_ids` to embeddings.
        texts: list of strings. Empty ones too, whose embedding is that of
            all-zero characters.

    Returns:
        float32 array of shape `(len(texts), embedding_dim)`.

    Raises:
        ValueError: there are no texts, or it is no list of strings.

    Example:

    >>> encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16)
    >>> keras_t2i.text.embed_texts(encoder, ["a rose", "a tulip"]).shape
    (2, 16)
    """
    if isinstance(texts, (str, bytes)) or not all(
        isinstance(text, str) for text in texts
    ):
        raise ValueError(
            f"`texts` must be a list of strings. Received: {texts!r:.60}"
        )
    if len(texts) == 0:
        raise ValueError("`texts` must hold at least one. Received: none")
    # Objects: an array of bytes would give each text the longest one's size.
    unique, places = np.unique(
        np.array(utf8(texts), object), return_inverse=True
    )
    # By length, as a batch takes as long as the longest text in it.
    by_length = np.argsort([len(text) for text in unique], kind="stable")
    dataset = tf.data.Dataset.from_tensor_slices(unique[by_length])
    dataset = dataset.batch(_BATCH_SIZE)
    dataset = dataset.map(lambda texts: tokenize_for(encoder, texts))
    embeddings = encoder.predict(untuned(dataset.prefetch(2)), verbose=0)
    # Where each different text is among those by length.
    rank = np.argsort(by_length)
    return np.asarray(embeddings, np.float32)[rank[places]]


def extract_embeddings(
    encoder,
    data_path: str | os.PathLike,
    out_path: str | os.PathLike,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Embeds all captions of a prepared data set.

    Writes one shard of embeddings for each shard of images, with the same
    keys in the same order, for `make_dataset(..., text_embeddings=out_path)`.

    Args:
        encoder: `keras.Model` from `token_ids` to embeddings, such as
            `CharCNNRNN`.
        data_path: path. Folder that `keras-t2i prepare` wrote.
        out_path: path. Folder to write to; it may be there, but not hold
            embeddings.
        progress: function of the number of images done and of all images.
            Defaults to `None`.

    Returns:
        int. How many captions were cut.

    Raises:
        ValueError: the data set is damaged, or `out_path` holds embeddings or
            a data set.
    """
    manifest = read_manifest(data_path)
    num_cut = 0

    def embed(examples):
        nonlocal num_cut
        texts = [text for example in examples for text in example.captions]
        num_cut += count_cut(texts, cuts_of(encoder))
        ends = np.cumsum([len(example.captions) for example in examples])
        return np.split(embed_texts(encoder, texts), ends[:-1])

    splits = write_embedding_shards(
        manifest, data_path, out_path, embed, progress
    )
    # Last: the folder counts as embeddings only when all of it is there.
    write_manifest(
        out_path,
        EmbeddingManifest(
            encoder.output_shape[-1],
            data_fingerprint(manifest),
            embeddings_fingerprint(manifest, encoder),
            splits,
        ),
    )
    return num_cut


def import_embeddings(
    path: str | os.PathLike,
    data_path: str | os.PathLike,
    out_path: str | os.PathLike,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Takes over embeddings that others have computed for a data set.

    Writes what `extract_embeddings` does. Read are, by image id: `.npz` files,
    `.npy` files, the `.t7` files of Reed et al. (2016), one an image or one a
    class, and the pickles of StackGAN. Nothing in them is executed. An image
    may have any number of embeddings, of its captions or one of all of them.

    Args:
        path: path of the file or folder of embeddings.
        data_path: path. Folder that `keras-t2i prepare` wrote.
        out_path: path. Folder to write to; it may be there, but not hold
            embeddings.
        progress: function of the number of images done and of all images.
            Defaults to `None`.

    Returns:
        int. How many images the file has that the data set has not.

    Raises:
        ValueError: the embeddings or the data set are damaged, images have no
            embeddings, or `out_path` holds embeddings or a data set.
        OSError: a file can not be opened or written.
    """
    manifest = read_manifest(data_path)
    all_examples = [
        PreparedExamples(data_path, name) for name in manifest.splits
    ]
    ids = [id for examples in all_examples for id in examples.text_ids()]
    source = open_published_embeddings(path, images_of_class(all_examples))
    name_of = dict(zip(ids, match_names(ids, source.names, path)))
    digest = hashlib.sha256(data_fingerprint(manifest).encode())
    embedding_dim = None

    def read(examples):
        nonlocal embedding_dim
        for example in examples:
            rows = np.atleast_2d(source.read(name_of[example.id]))
            embedding_dim = embedding_dim or rows.shape[1]
            if rows.shape[1] != embedding_dim:
                raise ValueError(
                    f"{path} must hold embeddings of one size. Received: "
                    f"{embedding_dim} and, of {name_of[example.id]!r}, "
                    f"{rows.shape[1]}."
                )
            digest.update(rows.astype("<f4").tobytes())
            yield rows

    splits = write_embedding_shards(
        manifest, data_path, out_path, read, progress
    )
    write_manifest(
        out_path,
        EmbeddingManifest(
            embedding_dim,
            data_fingerprint(manifest),
            digest.hexdigest(),
            splits,
        ),
    )
    return len(source.names) - len(ids)


def embeddings_fingerprint(manifest: Manifest, encoder) -> str:
    """Returns a digest of a prepared data set and of a text encoder.

    Args:
        manifest: `Manifest` of the data set.
        encoder: `keras.Model`.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(data_fingerprint(manifest).encode())
    for weight in encoder.get_weights():
        digest.update(str(weight.shape).encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()
