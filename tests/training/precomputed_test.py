"""Embeddings that several trainings with one encoder need."""

import threading

import keras
import numpy as np
import pytest

from keras_t2i.datasets.blooms_source import BloomsSource
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.preparation import prepare
from keras_t2i.files import locked_folder
from keras_t2i.text.embeddings import embeddings_fingerprint
from keras_t2i.training.precomputed import embeddings_beside
from keras_t2i.training.precomputed import given_embeddings
from tests.tiny_models import tiny_text_encoder


@pytest.fixture
def needed(tmp_path):
    """The arguments, and the folder that the embeddings will be in."""
    keras.utils.set_random_seed(0)
    encoder = tiny_text_encoder()
    path = tmp_path / "text"
    path.mkdir()
    encoder.save(path / "model.keras")
    data = tmp_path / "data"
    prepare(BloomsSource(10), data, image_size=32)
    fingerprint = embeddings_fingerprint(read_manifest(data), encoder)
    folder = path / f"embeddings-{fingerprint[:12]}"
    return (path, encoder, data, fingerprint), folder


def test_a_training_waits_for_another_that_makes_them(needed, capsys):
    arguments, folder = needed
    folder.mkdir()
    found = []
    waiting = threading.Thread(
        target=lambda: found.append(embeddings_beside(*arguments))
    )
    # As another training does, which is faster.
    with locked_folder(folder):
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive() and found == []
        assert list(folder.iterdir()) == []
    waiting.join(120)
    assert found == [folder]
    assert (folder / MANIFEST_FILE).is_file()
    assert "Embedding captions: 10 of 10" in capsys.readouterr().err


def test_those_that_another_has_made_meanwhile_are_taken(
    needed, tmp_path, capsys
):
    arguments, folder = needed
    assert embeddings_beside(*arguments) == folder
    made = folder.rename(tmp_path / "made")
    folder.mkdir()
    capsys.readouterr()
    found = []
    waiting = threading.Thread(
        target=lambda: found.append(embeddings_beside(*arguments))
    )
    with locked_folder(folder):
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        for file in made.iterdir():
            file.rename(folder / file.name)
    waiting.join(120)
    assert found == [folder]
    assert "Embedding" not in capsys.readouterr().err


def test_files_that_macos_adds_make_no_other_embeddings(tmp_path):
    data, folder = tmp_path / "data", tmp_path / "clip"
    manifest = prepare(BloomsSource(10), data, image_size=32).manifest
    folder.mkdir()
    for split in manifest.splits:
        for id in PreparedExamples(data, split).text_ids():
            np.save(folder / f"{id}.npy", np.ones(4, "float32"))
    imported = given_embeddings(folder, data)
    (folder / ".DS_Store").write_bytes(b"Bud1")
    assert given_embeddings(folder, data) == imported
