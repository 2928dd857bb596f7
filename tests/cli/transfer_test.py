import os

import numpy as np
import pytest
from PIL import Image

from keras_t2i import StyleEncoder
from keras_t2i.cli.main import main
from keras_t2i.datasets.images import read_square
from keras_t2i.plots import transfer_grid
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.model_files import load_style_encoder

pytestmark = pytest.mark.usefixtures("loaded_once")

_CAPTIONS = ["a red flower", "five blue petals", "a white center"]


@pytest.fixture
def styles(tmp_path):
    """Files of two kinds and sizes, neither of them the model's."""
    pixels = np.random.default_rng(0).integers(
        0, 256, (50, 90, 3), dtype="uint8"
    )
    wide, small = tmp_path / "wide.jpg", tmp_path / "small.png"
    Image.fromarray(pixels).save(wide)
    Image.new("L", (7, 20), 90).save(small)
    return [wide, small]


def _options(styles, gan_run, style_run, out):
    options = [part for style in styles for part in ("--style", style)]
    options += ["--model", gan_run, "--style-encoder", style_run]
    return [str(option) for option in [*options, "--out", out]]


def _read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_grid(styles, gan_run, style_run, tmp_path, capsys):
    out = tmp_path / "deep" / "grid.png"
    options = _options(styles, gan_run, style_run, out)
    assert main(["transfer", *_CAPTIONS, *options]) == 0
    assert capsys.readouterr().out == f"images: {out}\n"
    assert os.listdir(out.parent) == ["grid.png"]
    squares = np.stack([read_square(style, 32) for style in styles])
    pictures = load_gan(gan_run).transfer_style(
        squares, _CAPTIONS, load_style_encoder(style_run)
    )
    # Style pictures down the side, captions across.
    figure = transfer_grid(squares, pictures, _CAPTIONS)
    figure.savefig(tmp_path / "expected.png")
    np.testing.assert_array_equal(_read(out), _read(tmp_path / "expected.png"))


def test_the_model_file_of_a_style_run(styles, gan_run, style_run, tmp_path):
    out = tmp_path / "grid.png"
    model = style_run / "model.keras"
    options = _options(styles[:1], gan_run, model, out)
    assert main(["transfer", _CAPTIONS[0], *options]) == 0
    with Image.open(out) as image:
        assert image.width == 2 * 136


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("text file", "WebP or PPM file. Received: TMP/text.png: is not an"),
        ("missing", "--style must name a JPEG, PNG"),
        ("folder", "folder: Is a directory"),
        ("device", "/dev/zero: is no regular file"),
        ("GAN", "--style-encoder must name a run of train-style"),
        ("no model", "--style-encoder must name a run folder or a .keras"),
        ("empty caption", "A caption must hold some text. Received: ' '"),
        ("GIF", "--out must name a .png file. Received: "),
    ],
)
def test_bad_input(
    styles, gan_run, style_run, tmp_path, error_of, change, message
):
    out = tmp_path / "deep" / "grid.png"
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder").mkdir()
    captions = ["a rose"]
    if change == "GAN":
        style_run = gan_run
    elif change == "no model":
        style_run = tmp_path / "nowhere"
    elif change == "empty caption":
        captions = ["a rose", " "]
    elif change == "GIF":
        out = out.with_suffix(".gif")
    else:
        name = {"text file": "text.png", "missing": "gone.png"}
        name["device"] = "/dev/zero"
        styles = [*styles, tmp_path / name.get(change, "folder")]
    options = _options(styles, gan_run, style_run, out)
    message = message.replace("TMP", str(tmp_path))
    assert message in error_of("transfer", *captions, *options)
    assert not out.parent.exists()


def test_a_style_encoder_for_images_of_another_size(
    styles, gan_run, tmp_path, error_of
):
    model = tmp_path / "style.keras"
    StyleEncoder(image_size=64, noise_dim=10, width=4).save(model)
    options = _options(styles, gan_run, model, tmp_path / "a.png")
    line = error_of("transfer", "a rose", *options)
    assert (
        "--style-encoder must lead from images of shape (None, 32, 32, 3)"
        in line
    )


def test_a_style_is_needed(gan_run, style_run, tmp_path, capsys):
    options = _options([], gan_run, style_run, tmp_path / "a.png")
    with pytest.raises(SystemExit) as error:
        main(["transfer", "a rose", *options])
    assert error.value.code == 2
    assert "required: --style" in capsys.readouterr().err


def test_a_model_that_is_not_there(styles, error_of):
    line = error_of(
        "transfer", "a rose", "--style", styles[0], "--model", "runs/gam"
    )
    assert "--model must name a run folder or a .keras file, or be a" in line
    assert "Received: 'runs/gam', which is not there." in line


def test_a_model_of_ones_own_needs_a_style_encoder(styles, gan_run, error_of):
    line = error_of(
        "transfer", "a rose", "--style", styles[0], "--model", gan_run
    )
    assert "--style-encoder must name a run of train-style" in line
    assert f"Received: --model {gan_run} alone. Train one by" in line
