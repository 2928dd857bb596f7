"""The exported model in the repository."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

import keras_t2i
from keras_t2i.cli.main import main
from keras_t2i.export import Client

_FOLDER = pathlib.Path(__file__).parents[1] / "saved_models" / "flowers"
_CAPTIONS = ["a pink flower with a yellow center", "thin blue petals", "a rose"]


def _files(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _size(folder):
    return sum((folder / file).stat().st_size for file in _files(folder))


def test_it_is_small():
    assert _size(_FOLDER / "1") < 12e6


def test_it_generates_as_the_preset_does():
    gan = keras_t2i.TextToImageGAN.from_preset("gan_int_cls_plus_flowers")
    served = Client(_FOLDER).generate(_CAPTIONS).astype(int)
    # Processors may round differently, by a gray level.
    np.testing.assert_allclose(served, gan.generate(_CAPTIONS), atol=1)


@pytest.mark.large
def test_it_is_what_is_exported_today(tmp_path):
    out = tmp_path / "flowers"
    assert main(["export", "--half-precision", "--out", str(out)]) == 0
    assert _files(out) == _files(_FOLDER)
    assert _size(out / "1") == pytest.approx(_size(_FOLDER / "1"), rel=0.01)
    ours, todays = (
        tf.saved_model.load(str(folder / "1")).signatures
        for folder in (_FOLDER, out)
    )
    assert set(ours) == set(todays)
    for name in ours:
        for part in ("structured_input_signature", "structured_outputs"):
            assert getattr(ours[name], part) == getattr(todays[name], part)
    np.testing.assert_array_equal(
        Client(out).generate(_CAPTIONS), Client(_FOLDER).generate(_CAPTIONS)
    )
