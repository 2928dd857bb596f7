"""The embeddings of a data set's captions, kept beside their text encoder."""

import contextlib
import os
import pathlib
import sys

import keras

from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.files import locked_folder
from keras_t2i.progress import show_progress
from keras_t2i.text.embeddings import extract_embeddings
from keras_t2i.tokenizers import MAX_CHARACTERS


def embeddings_beside(
    encoder_path: str | os.PathLike,
    encoder: keras.Model,
    data: str | os.PathLike,
    fingerprint: str,
) -> pathlib.Path:
    """Returns the folder of embeddings beside an encoder, made if need be.

    Args:
        encoder_path: path of the encoder's run folder or file.
        encoder: `CharCNNRNN`, that of the path.
        data: path of a prepared data set.
        fingerprint: string. That of the data set and the encoder.

    Raises:
        ValueError: the data set is damaged.
        OSError: the embeddings cannot be written.
    """
    folder = pathlib.Path(encoder_path)
    if not folder.is_dir():
        folder = folder.parent
    for path in sorted(folder.iterdir()):
        if (path / MANIFEST_FILE).is_file():
            with contextlib.suppress(ValueError):
                if read_embedding_manifest(path).fingerprint == fingerprint:
                    return path
    path = folder / f"embeddings-{fingerprint[:12]}"
    path.mkdir(exist_ok=True)
    # Another training with this encoder may be making them.
    with locked_folder(path):
        if not (path / MANIFEST_FILE).is_file():
            with show_progress("Embedding captions", "images") as progress:
                num_cut = extract_embeddings(encoder, data, path, progress)
            report_cut(encoder, num_cut)
    return path


def report_cut(encoder: keras.Model, num_cut: int) -> None:
    """Prints how many captions are longer than an encoder reads, if any."""
    if num_cut:
        unit = "characters" if encoder.vocabulary is None else "words"
        print(
            f"cut: {num_cut} captions are longer than the {MAX_CHARACTERS} "
            f"{unit} that are read",
            file=sys.stderr,
        )
