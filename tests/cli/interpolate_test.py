import os
import re

import numpy as np
import pytest
from PIL import Image

from keras_t2i.cli.main import main
from keras_t2i.plots import interpolation_strips
from keras_t2i.training.model_files import load_gan
from tests.tiny_models import vivid_gan

pytestmark = pytest.mark.usefixtures("loaded_once")

_CAPTIONS = ["a red flower", "five blue petals"]


@pytest.fixture(scope="module")
def gan(gan_run):
    return load_gan(gan_run)


def _interpolate(*options):
    return main(["interpolate", *(str(option) for option in options)])


def _read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _frames(path):
    with Image.open(path) as gif:
        frames = []
        for number in range(gif.n_frames):
            gif.seek(number)
            frames.append(np.asarray(gif.convert("RGB"), int))
    return np.stack(frames)


def _assert_strip(path, ways, label_from, label_to, tmp_path):
    figure = interpolation_strips(ways, [label_from], [label_to])
    figure.savefig(tmp_path / "expected.png")
    np.testing.assert_array_equal(_read(path), _read(tmp_path / "expected.png"))


def test_strip_between_captions(gan, gan_run, tmp_path, capsys):
    out = tmp_path / "deep" / "strip.png"
    options = ["--model", gan_run, "--out", out, "--seed", 3, "--steps", 5]
    assert _interpolate(*_CAPTIONS, *options) == 0
    assert capsys.readouterr().out == f"images: {out}\n"
    assert os.listdir(out.parent) == ["strip.png"]
    ways = gan.interpolate(*_CAPTIONS, steps=5, seed=3)
    _assert_strip(out, ways, *_CAPTIONS, tmp_path)


def test_strip_between_seeds(gan, gan_run, tmp_path):
    out = tmp_path / "strip.PNG"
    options = ["--model", gan_run, "--out", out, "--seed", 3, "--seed-to", 9]
    assert _interpolate(_CAPTIONS[0], *options) == 0
    ways = gan.interpolate_noise(_CAPTIONS[0], 3, 9)
    labels = ["seed 3: a red flower", "seed 9: a red flower"]
    _assert_strip(out, ways, *labels, tmp_path)


def test_seed_is_0_by_default(gan, gan_run, tmp_path):
    out = tmp_path / "strip.png"
    options = ["--model", gan_run, "--out", out, "--seed-to", 9]
    assert _interpolate(_CAPTIONS[0], *options) == 0
    ways = gan.interpolate_noise(_CAPTIONS[0], 0, 9)
    labels = ["seed 0: a red flower", "seed 9: a red flower"]
    _assert_strip(out, ways, *labels, tmp_path)


def test_gif(tmp_path):
    gan = vivid_gan()
    gan.save(tmp_path / "gan.keras")
    out = tmp_path / "way.gif"
    options = ["--model", tmp_path / "gan.keras", "--out", out, "--steps", 6]
    assert _interpolate(_CAPTIONS[0], *options, "--seed-to", 1) == 0
    (way,) = gan.interpolate_noise(_CAPTIONS[0], 0, 1, steps=6)
    frames = _frames(out)
    assert frames.shape == (6, 32, 32, 3)
    # Each is of 256 colors, and closest to its own picture.
    for number, frame in enumerate(frames):
        distances = np.abs(way.astype(int) - frame).mean(axis=(1, 2, 3))
        assert np.argmin(distances) == number


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a rose"], "two captions, or one caption and --seed-to.*1 captions"),
        (["a", "b", "c"], "Received: 3 captions and no --seed-to"),
        (["a", "b", "--seed-to", 4], "Received: 2 captions and --seed-to"),
        (["a", "b", "--steps", 5241, "--out", "a.gif"], "--steps must .* 5240"),
        (["a rose", " "], "A caption must hold some text. Received: ' '"),
        (["", "--seed-to", 4], "A caption must hold some text. Received: ''"),
    ],
)
def test_bad_input(gan_run, tmp_path, error_of, arguments, message):
    out = tmp_path / "deep" / "strip.png"
    line = error_of("interpolate", "--out", out, "--model", gan_run, *arguments)
    assert re.search(message, line)
    assert not out.parent.exists()


@pytest.mark.parametrize("name", ["strip.jpg", "strip"])
def test_other_files(gan_run, tmp_path, error_of, name):
    line = error_of(
        *["interpolate", *_CAPTIONS, "--model", gan_run],
        *["--out", tmp_path / name],
    )
    assert "--out must name a .png or .gif file. Received: " in line
    assert name in line


def test_one_step_is_no_way(gan_run, tmp_path, capsys):
    argv = [*_CAPTIONS, "--model", gan_run, "--out", tmp_path / "a.png"]
    with pytest.raises(SystemExit) as error:
        _interpolate(*argv, "--steps", 1)
    assert error.value.code == 2
    assert "whole number of at least 2" in capsys.readouterr().err


def test_no_model(text_run, tmp_path, error_of):
    out = tmp_path / "a.png"
    argv = [*_CAPTIONS, "--model", text_run, "--out", out]
    assert "a JointEmbedding" in error_of("interpolate", *argv)
