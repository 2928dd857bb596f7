"""The exported models in the repository."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

import keras_t2i
from keras_t2i.cli.main import main
from keras_t2i.export import Client

_FOLDER = pathlib.Path(__file__).parents[1] / "saved_models"
_MODELS = pytest.mark.parametrize("name", ["blooms", "flowers"])
_CAPTIONS = ["a pink flower with a yellow center", "thin blue petals", "a rose"]


def _files(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _size(folder):
    return sum((folder / file).stat().st_size for file in _files(folder))


@_MODELS
def test_it_is_small(name):
    assert _size(_FOLDER / name / "1") < 12e6


@_MODELS
def test_it_generates_as_the_preset_does(name):
    gan = keras_t2i.TextToImageGAN.from_preset(f"gan_int_cls_plus_{name}")
    served = Client(_FOLDER / name).generate(_CAPTIONS).astype(int)
    # Processors may round differently, by a gray level.
    np.testing.assert_allclose(served, gan.generate(_CAPTIONS), atol=1)


def _answers(folder, style):
    """What each method of the client returns."""
    client = Client(folder)
    embeddings = client.embed_text(_CAPTIONS)
    return [
        client.generate(_CAPTIONS),
        client.interpolate(*_CAPTIONS[:2], steps=3),
        client.interpolate_noise(_CAPTIONS[0], 1, 2, steps=3),
        client.transfer_style([style], _CAPTIONS),
        embeddings,
        client.generate_from_embeddings(embeddings),
    ]


@pytest.mark.large
@_MODELS
def test_it_is_what_is_exported_today(name, tmp_path):
    folder, out = _FOLDER / name, tmp_path / name
    argv = ["export", "--model", f"gan_int_cls_plus_{name}", "--out", str(out)]
    assert main([*argv, "--half-precision"]) == 0
    assert _files(out) == _files(folder)
    assert _size(out / "1") == pytest.approx(_size(folder / "1"), rel=0.01)
    ours, todays = (
        tf.saved_model.load(str(version)).signatures
        for version in (folder / "1", out / "1")
    )
    assert set(ours) == set(todays)
    for signature in ours:
        for part in ("structured_input_signature", "structured_outputs"):
            assert getattr(ours[signature], part) == getattr(
                todays[signature], part
            )
    (style,) = Client(folder).generate("a white flower")
    todays, ours = (_answers(where, style) for where in (out, folder))
    for answer, expected in zip(todays, ours, strict=True):
        np.testing.assert_array_equal(answer, expected)
