"""Writes extracted embeddings as the pickles that other GANs read."""

import os
import pathlib
import struct
from collections.abc import Iterable

import numpy as np

from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.files import replace_when_whole
from keras_t2i.text.published_embeddings import STACKGAN_CLASSES
from keras_t2i.text.published_embeddings import STACKGAN_EMBEDDINGS
from keras_t2i.text.published_embeddings import STACKGAN_FILES

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
        ValueError: the data set or its embeddings are damaged, or `out_path`
            holds files already.

    Reference:
        - [Zhang et al., 2017](https://arxiv.org/abs/1612.03242)
    """
    out_path = pathlib.Path(out_path)
    check_free(out_path)
    manifest = read_manifest(data_path)
    for folder, split in _FOLDERS.items():
        if folder not in manifest.splits:
            continue
        folder = out_path / folder
        examples = PreparedExamples(data_path, split)
        embeddings = ExtractedEmbeddings(embeddings_path, examples)
        folder.mkdir(parents=True, exist_ok=True)
        class_ids = examples.class_ids
        if class_ids is None:
            class_ids = np.arange(len(examples))
        # Flowers are named by their folder too, others by their ids.
        prefix = "jpg/" if manifest.name == "oxford_flowers" else ""
        parts = {
            STACKGAN_EMBEDDINGS: map(
                _array, _equally_many(embeddings, len(examples))
            ),
            STACKGAN_FILES: (
                _string(prefix + _without_suffix(id))
                for id in examples.text_ids()
            ),
            # From 1, as theirs.
            STACKGAN_CLASSES: (
                b"J" + struct.pack("<i", class_id + 1) for class_id in class_ids
            ),
        }
        for name, items in parts.items():
            _write_list(folder / name, items)


def check_free(out_path: str | os.PathLike) -> None:
    """Raises `ValueError` where the folder holds files of such a layout."""
    for folder in _FOLDERS:
        folder = pathlib.Path(out_path) / folder
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(
                f"`out_path` must hold no files in {folder.name} yet. "
                f"Received: {str(out_path)!r}. Name another folder."
            )


def _equally_many(embeddings, num_images):
    most = max(len(embeddings.read(index)) for index in range(num_images))
    for index in range(num_images):
        rows = embeddings.read(index)
        yield rows[np.arange(most) % len(rows)]


def _write_list(path: pathlib.Path, items: Iterable[bytes]):
    with replace_when_whole(path) as temporary:
        with open(temporary, "wb") as file:
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


def _without_suffix(id):
    path = pathlib.PurePosixPath(id)
    # The ids of folders have one; others may have a point in their names.
    is_file = path.suffix.lower() in (".jpg", ".jpeg", ".png")
    return str(path.with_suffix("")) if is_file else id
