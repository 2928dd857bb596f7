"""Writes extracted embeddings as the pickles that other GANs read."""

import contextlib
import os
import pathlib
import struct
from collections.abc import Iterable

import numpy as np

from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.images import without_image_suffix
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.published_embeddings import STACKGAN_CLASSES
from keras_t2i.datasets.published_embeddings import STACKGAN_EMBEDDINGS
from keras_t2i.datasets.published_embeddings import STACKGAN_FILES
from keras_t2i.files import atomic_new_folder

# Their folders, and the splits here.
_FOLDERS = {"train": "trainval", "test": "test"}
# Instructions of protocol 2, written by hand: a pickle made by Python 3 names
# modules that NumPy has not had in the days of Python 2.
_BEGIN_LIST, _APPEND, _END = b"\x80\x02]", b"a", b"."
_FLOAT32 = (
    b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
    b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
_NEW_ARRAY = (
    b"cnumpy.core.multiarray\n_reconstruct\n"
    b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
)


def write_stackgan_pickles(
    data_path: str | os.PathLike,
    embeddings_path: str | os.PathLike,
    out_path: str | os.PathLike,
) -> None:
    """Writes the embeddings of a data set in the layout of StackGAN.

    `train`, which holds the validation split too, and `test` each get
    `char-CNN-RNN-embeddings.pickle`, `filenames.pickle` and
    `class_info.pickle`, in protocol 2, as Python 2 has written them. All
    images get as many embeddings as that with the most captions: others repeat
    theirs. Without classes each image has a class number of its own.

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
    check_free(out_path)
    manifest = read_manifest(data_path)
    all_examples = {
        folder: PreparedExamples(data_path, split)
        for folder, split in _FOLDERS.items()
        if folder in manifest.splits
    }
    # Flowers are named by their folder too, others by their ids.
    prefix = "jpg/" if manifest.name == "oxford_flowers" else ""
    names = _names(all_examples.values(), prefix, data_path)
    out_path.mkdir(parents=True, exist_ok=True)
    # All folders appear when all of them are whole.
    with contextlib.ExitStack() as stack:
        for folder, examples in all_examples.items():
            embeddings = ExtractedEmbeddings(embeddings_path, examples)
            temporary = stack.enter_context(
                atomic_new_folder(out_path / folder)
            )
            class_ids = examples.class_ids
            if class_ids is None:
                class_ids = np.arange(len(examples))
            parts = {
                STACKGAN_EMBEDDINGS: map(
                    _array, _equally_many(embeddings, len(examples))
                ),
                STACKGAN_FILES: (
                    _string(names[id]) for id in examples.text_ids()
                ),
                # From 1, as theirs.
                STACKGAN_CLASSES: (
                    b"J" + struct.pack("<i", class_id + 1)
                    for class_id in class_ids
                ),
            }
            for name, items in parts.items():
                _write_list(temporary / name, items)


def check_free(out_path: str | os.PathLike) -> None:
    """Raises `ValueError` where the folder holds files of such a layout."""
    for folder in _FOLDERS:
        folder = pathlib.Path(out_path) / folder
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(
                f"`out_path` must hold no files in {folder.name} yet. "
                f"Received: {str(out_path)!r}. Name another folder."
            )


def _names(all_examples, prefix, data_path):
    """Returns the name of each id, of all splits."""
    ids = {}
    for examples in all_examples:
        for id in examples.text_ids():
            name = prefix + without_image_suffix(id)
            if name in ids:
                raise ValueError(
                    f"{data_path} must hold images whose names differ without "
                    "their suffixes, as the pickles have them. Received: "
                    f"{ids[name]!r} and {id!r}. Rename one of them, and "
                    "prepare the data set again."
                )
            ids[name] = id
    return {id: name for name, id in ids.items()}


def _equally_many(embeddings, num_images):
    most = max(len(embeddings.read(index)) for index in range(num_images))
    for index in range(num_images):
        rows = embeddings.read(index)
        yield rows[np.arange(most) % len(rows)]


def _write_list(path: pathlib.Path, items: Iterable[bytes]):
    with open(path, "wb") as file:
        file.write(_BEGIN_LIST)
        for item in items:
            file.write(item + _APPEND)
        file.write(_END)


def _array(rows):
    data = rows.astype("<f4").tobytes()
    shape = b"".join(b"J" + struct.pack("<i", size) for size in rows.shape)
    return b"".join(
        [
            *[_NEW_ARRAY, b"(K\x01", shape, b"\x86", _FLOAT32, b"\x89"],
            *[b"T", struct.pack("<i", len(data)), data, b"tb"],
        ]
    )


def _string(text):
    data = text.encode("utf-8")
    # A string of bytes in Python 2, and text in either where it is no ASCII.
    kind = b"T" if text.isascii() else b"X"
    return kind + struct.pack("<i", len(data)) + data
