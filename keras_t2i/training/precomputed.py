"""What trainings compute once of a data set and keep: embeddings, features."""

import contextlib
import hashlib
import os
import pathlib
import time

from keras_t2i.applications.feature_extraction import extract_image_features
from keras_t2i.applications.feature_networks import pooled_network
from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.files import atomic_new_folder
from keras_t2i.files import file_sha256
from keras_t2i.files import locked_folder
from keras_t2i.files import make_folder
from keras_t2i.progress import show_progress
from keras_t2i.reading import walk
from keras_t2i.terminal import print_error
from keras_t2i.terminal import print_note
from keras_t2i.text.char_cnn_rnn import CharCNNRNN
from keras_t2i.text.embeddings import extract_embeddings
from keras_t2i.text.embeddings import import_embeddings
from keras_t2i.tokenizers import ADVICE_ON_CHARACTERS
from keras_t2i.tokenizers import ADVICE_ON_WORDS
from keras_t2i.tokenizers import MAX_CHARACTERS
from keras_t2i.tokenizers import Unread
from keras_t2i.types import StrPath

_IMAGE_SIZE = 224
_NUM_VIEWS = 4


def embeddings_beside(
    encoder_path: StrPath, encoder: CharCNNRNN, data: StrPath, fingerprint: str
) -> pathlib.Path:
    """Returns the embeddings of all captions; computes them if need be.

    They are kept beside the text encoder, in its run folder or that of its
    file, or with the data set if `encoder_path` is the name of a preset with
    weights. `fingerprint` is that of the data set and the encoder. Raises
    `ValueError` if the data set is damaged, or nobody may write beside the
    encoder; `OSError` if the embeddings cannot be written.
    """
    folder = pathlib.Path(encoder_path)
    if not folder.exists():
        # The name of a preset with weights.
        folder = pathlib.Path(data)
    elif not folder.is_dir():
        folder = folder.parent
    for path in sorted(folder.iterdir()):
        # Says no, too, of a folder that belongs to somebody else.
        if os.path.isfile(path / MANIFEST_FILE):
            with contextlib.suppress(ValueError, OSError):
                if read_embedding_manifest(path).fingerprint == fingerprint:
                    return path
    path = folder / f"embeddings-{fingerprint[:12]}"
    make_folder(
        path,
        f"Embeddings are kept in {str(folder)!r}, which cannot be written. "
        "Embed the captions to another folder by `keras-t2i embed`, and pass "
        "it as `text_embeddings` too.",
    )
    # Another training with this encoder may be computing them.
    with locked_folder(path):
        if not (path / MANIFEST_FILE).is_file():
            with show_progress("Embedding captions", "images") as progress:
                unread = extract_embeddings(encoder, data, path, progress)
            report_unread(encoder, unread)
    return path


def given_embeddings(path: StrPath, data: StrPath) -> pathlib.Path:
    """Returns embeddings that a training is given, as a folder of shards.

    Those in the layouts of others are imported once, and kept with the data
    set. `path` is that of a folder of shards, or of what `import_embeddings`
    reads. Raises `ValueError` if the embeddings or the data set are damaged, or
    images have no embeddings, or are not there; `OSError` if they cannot be
    read or written.
    """
    path = pathlib.Path(path)
    if not os.path.exists(path):
        raise ValueError(
            "`text_embeddings` must be a file or folder of embeddings. "
            f"Received: {str(path)!r}, which is not there. Name the folder "
            f"embeddings-* in {str(data)!r} if they were imported before."
        )
    if (path / MANIFEST_FILE).is_file():
        return path
    digest = hashlib.sha256(data_fingerprint(read_manifest(data)).encode())
    for file in walk(path) if path.is_dir() else [path]:
        if file.is_file():
            name = file.relative_to(path).as_posix()
            digest.update(f"{name} {file_sha256(file)}\n".encode())
    folder = pathlib.Path(data) / f"embeddings-{digest.hexdigest()[:12]}"
    # Another training may be importing them.
    with locked_folder(data):
        if not folder.exists():
            with (
                atomic_new_folder(folder) as temporary,
                show_progress("Importing embeddings", "images") as progress,
            ):
                unused = import_embeddings(path, data, temporary, progress)
            report_unused(unused)
    return folder


def report_unused(num_images: int) -> None:
    """Prints how many images of imported embeddings a data set lacks."""
    if num_images:
        print_note(
            f"not used: embeddings of {num_images} images that the data set "
            "does not have"
        )


def report_unread(encoder: CharCNNRNN, unread: Unread) -> None:
    """Prints what an encoder does not read of captions, if anything."""
    unit, instead = "characters", ADVICE_ON_CHARACTERS
    if encoder.vocabulary is not None:
        unit, instead = "words", ADVICE_ON_WORDS
    if unread.num_cut:
        print_note(
            f"cut: {unread.num_cut} captions are longer than the "
            f"{MAX_CHARACTERS} {unit} that are read"
        )
    if unread.num_unknown:
        print_note(
            f"unknown: {unread.num_unknown} captions have {unit} that the "
            f"text encoder does not know: {unread.num_unknown_tokens} of all "
            f"{unread.num_tokens} {unit}"
        )
    if unread.is_most:
        print_error(f"warning: most {unit} are unknown. {instead}")


def network_features(
    name: str, data: StrPath, num_features: int | None = None
) -> pathlib.Path:
    """Returns the path of features of all images, computed if need be.

    They are for `ImageFeatures`, and kept with the data set. `name` is one of
    `IMAGE_NETWORKS`, and `num_features` is as for `pooled_network`. Raises
    `ValueError` if there is no such network, its weights are missing or
    damaged, or the data set is damaged; `OSError` if the features cannot be
    written.
    """
    started = time.monotonic()
    num_done = 0
    with show_progress("Computing image features", "images") as progress:

        def on_progress(done: int, total: int) -> None:
            nonlocal num_done
            num_done = done
            progress(done, total)

        path = extract_image_features(
            pooled_network(name, _IMAGE_SIZE, num_features),
            *(data, _IMAGE_SIZE, _NUM_VIEWS, on_progress),
        )
    if num_done:
        seconds = time.monotonic() - started
        print_note(f"image features: {seconds:.0f} s, kept in {path}")
    return path
