"""Embeddings of captions: extracted, imported, exported, or given."""

import contextlib
import hashlib
import pathlib
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_t2i.captions import check_captions
from keras_t2i.checks import check_text_encoder
from keras_t2i.configured_model import ConfiguredModel
from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.examples import images_of_class
from keras_t2i.datasets.images import without_image_suffix
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.published_embeddings import STACKGAN_CLASSES
from keras_t2i.datasets.published_embeddings import STACKGAN_EMBEDDINGS
from keras_t2i.datasets.published_embeddings import STACKGAN_FILES
from keras_t2i.datasets.published_embeddings import match_names
from keras_t2i.datasets.published_embeddings import open_published_embeddings
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.shards import write_embeddings
from keras_t2i.files import atomic_new_folder
from keras_t2i.fit_checks import full_size
from keras_t2i.fit_checks import has_rows_for_all
from keras_t2i.formats.pickled_list import write_pickled_list
from keras_t2i.tokenizers import Unread
from keras_t2i.tokenizers import sum_unread
from keras_t2i.tokenizers import token_batches
from keras_t2i.tokenizers import unread_by
from keras_t2i.tokenizers import utf8
from keras_t2i.tokenizers import warn_of_unknown
from keras_t2i.types import StrPath
from keras_t2i.types import Tensor

_BATCH_SIZE = 256
# The folders of StackGAN, and the splits whose images they hold.
_STACKGAN_FOLDERS = {"train": "trainval", "test": "test"}


def embed_texts(encoder: Any, texts: list[str]) -> np.ndarray:
    """Embeds texts, each different one once.

    Warns if the encoder does not know most of their characters or words.

    Args:
        encoder: `keras.Model` from `token_ids` to embeddings.
        texts: list of strings. An empty one has the embedding of padding
            alone.

    Returns:
        float32 array of shape `(len(texts), embedding_dim)`.

    Raises:
        ValueError: there are no texts, or it is no list of strings.

    Example:

    >>> encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16)
    >>> keras_t2i.text.embed_texts(encoder, ["a rose", "a tulip"]).shape
    (2, 16)
    """
    is_list = hasattr(texts, "__len__") and not isinstance(texts, (str, bytes))
    if not is_list or not all(isinstance(text, str) for text in texts):
        raise ValueError(
            f"`texts` must be a list of strings. Received: {texts!r:.60}"
        )
    if len(texts) == 0:
        raise ValueError("`texts` must hold at least one. Received: none")
    check_text_encoder(encoder, "encoder")
    warn_of_unknown(encoder, texts)
    return _embed(encoder, texts)


def _embed(encoder: Any, texts: list[str]) -> np.ndarray:
    # Objects: an array of bytes would give each text the longest one's size.
    unique, places = np.unique(
        np.array(utf8(texts), object), return_inverse=True
    )
    # By length, as a batch takes as long as the longest text in it.
    by_length = np.argsort([len(text) for text in unique], kind="stable")
    rows = by_length
    strategy = getattr(encoder, "distribute_strategy", None)
    num_devices = getattr(strategy, "num_replicas_in_sync", 1)
    size = len(rows) % _BATCH_SIZE
    if not has_rows_for_all(size, num_devices):
        # TensorFlow's convolutions fail on a device without rows.
        more = np.full(full_size(size, num_devices) - size, rows[-1])
        rows = np.concatenate([rows, more])
    batches = token_batches(encoder, unique[rows], _BATCH_SIZE)
    embeddings = encoder.predict(batches, verbose=0)[: len(by_length)]
    # The places of the different texts among those by length.
    rank = np.argsort(by_length)
    return np.asarray(embeddings, np.float32)[rank[places]]


def extract_embeddings(
    encoder: Any,
    data_path: StrPath,
    out_path: StrPath,
    progress: Callable[[int, int], None] | None = None,
) -> Unread:
    """Embeds all captions of a prepared data set.

    Writes one shard of embeddings for each shard of images, with the same ids
    in the same order, for `make_dataset(..., text_embeddings=out_path)`.

    Args:
        encoder: `keras.Model` from `token_ids` to embeddings, such as
            `CharCNNRNN`.
        data_path: path. Folder that `keras-t2i prepare` wrote.
        out_path: path. Folder to write to. It may exist, but must not hold
            embeddings.
        progress: function of the number of images done and of all images.
            Defaults to `None`.

    Returns:
        `keras_t2i.tokenizers.Unread`: how many captions were cut, and what the
        encoder does not know of them.

    Raises:
        ValueError: the data set is damaged, `encoder` is none, or `out_path`
            holds embeddings or a data set.
    """
    check_text_encoder(encoder, "encoder")
    manifest = read_manifest(data_path)
    unread = []

    def embed(examples: list[CaptionedImage]) -> list[np.ndarray]:
        texts = [text for example in examples for text in example.captions]
        unread.append(unread_by(encoder, texts))
        ends = np.cumsum([len(example.captions) for example in examples])
        return np.split(_embed(encoder, texts), ends[:-1])

    fingerprint = embeddings_fingerprint(manifest, encoder)
    write_embeddings(data_path, out_path, embed, lambda: fingerprint, progress)
    return sum_unread(unread)


def import_embeddings(
    path: StrPath,
    data_path: StrPath,
    out_path: StrPath,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Imports embeddings that others have computed for a data set.

    Writes what `extract_embeddings` does. Reads, by image id: `.npz`, `.npy`
    and HDF5 files, the `.t7` files of Reed et al. (2016), one per image or per
    class, and the pickles of StackGAN. Nothing in them is executed. An image
    may have any number of embeddings, one per caption or one in all.

    Args:
        path: path of the file or folder of embeddings.
        data_path: path. Folder that `keras-t2i prepare` wrote.
        out_path: path. Folder to write to. It may exist, but must not hold
            embeddings.
        progress: function of the number of images done and of all images.
            Defaults to `None`.

    Returns:
        int. How many images of the file are not in the data set.

    Raises:
        ValueError: the embeddings or the data set are damaged, images have no
            embeddings, or `out_path` holds embeddings or a data set.
        OSError: a file cannot be opened or written.
    """
    manifest = read_manifest(data_path)
    all_examples = [
        PreparedExamples(data_path, name) for name in manifest.splits
    ]
    ids = [id for examples in all_examples for id in examples.text_ids()]
    source = open_published_embeddings(path, images_of_class(all_examples))
    name_of = dict(zip(ids, match_names(ids, source.names, path)))
    digest = hashlib.sha256(data_fingerprint(manifest).encode())
    embedding_dim = 0

    def read(examples: list[CaptionedImage]) -> Iterator[np.ndarray]:
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

    write_embeddings(data_path, out_path, read, digest.hexdigest, progress)
    return len(source.names) - len(ids)


def embeddings_fingerprint(manifest: Manifest, encoder: Any) -> str:
    """Returns a digest, in hexadecimal, of a data set and a text encoder."""
    digest = hashlib.sha256(data_fingerprint(manifest).encode())
    for weight in encoder.get_weights():
        digest.update(str(weight.shape).encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()


def write_stackgan_pickles(
    data_path: StrPath, embeddings_path: StrPath, out_path: StrPath
) -> None:
    """Writes the embeddings of a data set in the layout of StackGAN.

    `train`, which holds the validation split too, and `test` each get
    `char-CNN-RNN-embeddings.pickle`, `filenames.pickle` and
    `class_info.pickle`, in protocol 2, as Python 2 wrote them. All images get
    as many embeddings as the one with the most captions, by repeating theirs.
    Without classes, each image has a class number of its own.

    Args:
        data_path: path of the prepared data set.
        embeddings_path: path of its extracted embeddings.
        out_path: path of the folder to write to.

    Raises:
        ValueError: the data set or its embeddings are damaged, images differ by
            the suffixes of their names alone, or `out_path` holds files
            already. Then nothing is written.

    Reference:
        - [Zhang et al., 2017](https://arxiv.org/abs/1612.03242)
    """
    out_path = pathlib.Path(out_path)
    check_no_stackgan_files(out_path)
    manifest = read_manifest(data_path)
    all_examples = {
        folder: PreparedExamples(data_path, split)
        for folder, split in _STACKGAN_FOLDERS.items()
        if folder in manifest.splits
    }
    # Flowers are named by their folder too, others by their ids.
    prefix = "jpg/" if manifest.name == "oxford_flowers" else ""
    ids = [id for e in all_examples.values() for id in e.text_ids()]
    names = _stackgan_names(ids, prefix, data_path)
    all_embeddings = {
        folder: ExtractedEmbeddings(embeddings_path, examples)
        for folder, examples in all_examples.items()
    }
    out_path.mkdir(parents=True, exist_ok=True)
    # The folders appear only when all of them are whole.
    with contextlib.ExitStack() as stack:
        for folder, examples in all_examples.items():
            temporary = stack.enter_context(
                atomic_new_folder(out_path / folder)
            )
            class_ids = examples.class_ids
            if class_ids is None:
                class_ids = np.arange(len(examples))
            lists: dict[str, Iterable] = {
                STACKGAN_EMBEDDINGS: _equally_many(all_embeddings[folder]),
                STACKGAN_FILES: (names[id] for id in examples.text_ids()),
                # StackGAN counts from 1.
                STACKGAN_CLASSES: (int(id) + 1 for id in class_ids),
            }
            for name, items in lists.items():
                write_pickled_list(temporary / name, items)


def check_no_stackgan_files(out_path: StrPath) -> None:
    """Raises `ValueError` if a folder holds files of StackGAN's layout."""
    for folder in _STACKGAN_FOLDERS:
        path = pathlib.Path(out_path) / folder
        if path.exists() and any(path.iterdir()):
            raise ValueError(
                f"`out_path` must hold no files in {folder} yet. Received: "
                f"{str(out_path)!r}. Name another folder."
            )


def _stackgan_names(
    ids: Iterable[str], prefix: str, data_path: StrPath
) -> dict[str, str]:
    """Returns the name of each id."""
    id_of: dict[str, str] = {}
    for id in ids:
        name = prefix + without_image_suffix(id)
        if name in id_of:
            raise ValueError(
                f"{data_path} must hold images whose names differ without "
                "their suffixes, as the pickles have them. Received: "
                f"{id_of[name]!r} and {id!r}. Rename one of them, and prepare "
                "the data set again."
            )
        id_of[name] = id
    return {id: name for name, id in id_of.items()}


def _equally_many(embeddings: ExtractedEmbeddings) -> Iterator[np.ndarray]:
    most = max(len(embeddings.read(i)) for i in range(len(embeddings)))
    for index in range(len(embeddings)):
        rows = embeddings.read(index)
        yield rows[np.arange(most) % len(rows)]


@keras.saving.register_keras_serializable("keras_t2i")
class PrecomputedEmbeddings(ConfiguredModel):
    """Stands for a text encoder where embeddings come from elsewhere.

    A GAN with it is trained on such embeddings, of CLIP or a sentence model for
    example, and generates from them by `generate_from_embeddings`. It cannot
    read captions.

    Args:
        embedding_dim: int. Size of the embeddings.

    Call input: tensor of shape `(batch, embedding_dim)`. Output: the same.

    Example:

    >>> gan = keras_t2i.TextToImageGAN.from_preset(
    ...     "gan_int_cls",
    ...     image_size=32,
    ...     width=4,
    ...     text_encoder=keras_t2i.text.PrecomputedEmbeddings(512),
    ... )
    >>> gan.generate_from_embeddings(np.zeros((2, 512))).shape
    (2, 32, 32, 3)
    """

    def __init__(self, embedding_dim: int, **kwargs: Any):
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))
        embeddings = keras.Input((embedding_dim,), name="text_embeddings")
        outputs = layers.Identity(dtype=policy)(embeddings)
        super().__init__(inputs=embeddings, outputs=outputs, **kwargs)
        self.set_arguments(policy, embedding_dim=embedding_dim)

    def tokenize(self, texts: Tensor) -> Tensor:
        """Raises `ValueError`: texts cannot be read."""
        check_reads_texts(self)
        return texts


def encode_captions(captions: Any) -> np.ndarray:
    """Returns captions of any accepted kind as an array of UTF-8 bytes.

    `captions` is a string, or a list, NumPy array or tensor of strings. Raises
    `ValueError` if there is none, or one is empty or not a string.
    """
    if hasattr(captions, "numpy"):  # A tensor.
        captions = captions.numpy()
    if isinstance(captions, np.ndarray) and captions.ndim == 0:
        captions = captions.item()
    if isinstance(captions, str | bytes) or not isinstance(captions, Iterable):
        captions = [captions]
    encoded = []
    for caption in captions:
        if isinstance(caption, str):
            # Half a surrogate pair, which Python allows, is invalid UTF-8 and
            # replaced later like any other.
            caption = caption.encode("utf-8", "surrogatepass")
        if not isinstance(caption, bytes):
            raise ValueError(
                "`captions` must be a string or a flat sequence of strings. "
                f"Received: {caption!r} among them"
            )
        check_captions([caption.decode("utf-8", "replace")])
        encoded.append(caption)
    if not encoded:
        raise ValueError("`captions` must hold at least one. Received: none")
    return np.array(encoded, object)


def check_reads_texts(text_encoder: Any) -> None:
    """Raises `ValueError` for `PrecomputedEmbeddings`."""
    if isinstance(text_encoder, PrecomputedEmbeddings):
        raise ValueError(
            "The model was trained on embeddings that were computed elsewhere, "
            "and needs such embeddings, of size "
            f"{text_encoder.embedding_dim}. Received: texts. Embed them as "
            "those of the training were, and use `generate --embeddings FILE` "
            "or `generate_from_embeddings`."
        )


def checked_embeddings(
    text_embeddings: Any, dim: int | None = None
) -> np.ndarray:
    """Returns text embeddings as a float32 array of a row for each text.

    `dim` is the size that they must have, or `None` for any. Raises
    `ValueError` if their shape is not `(num_texts, dim)`, there is none, or
    they hold NaN or infinity.
    """
    rows = np.asarray(text_embeddings, np.float32)
    finite = np.isfinite(rows).all()
    fits = rows.ndim == 2 and dim in (None, rows.shape[1])
    if not fits or not rows.size or not finite:
        raise ValueError(
            "`text_embeddings` must be finite numbers of shape (num_texts, "
            f"{dim or 'dim'}), at least one row. Received: shape {rows.shape}"
            f"{'' if finite else ', not all finite'}."
        )
    return rows
