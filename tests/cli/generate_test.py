import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_t2i.cli.main import main
from keras_t2i.training.model_files import load_gan

pytestmark = pytest.mark.usefixtures("loaded_once")

_CAPTIONS = ["a red flower", "five blue petals"]


@pytest.fixture(scope="module")
def gan(gan_run):
    return load_gan(gan_run)


def _generate(*options):
    return main(["generate", *(str(option) for option in options)])


def _read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_one_picture_is_bare(gan, gan_run, tmp_path, capsys):
    out = tmp_path / "deep" / "flower.png"
    assert _generate(_CAPTIONS[0], "--model", gan_run, "--out", out) == 0
    captured = capsys.readouterr()
    assert captured.out == f"images: {out}\n"
    with Image.open(out) as image:
        assert (image.format, image.mode, image.size) == (
            "PNG",
            "RGB",
            (32, 32),
        )
    expected = gan.generate(_CAPTIONS[0], seed=0)[0]
    np.testing.assert_array_equal(_read(out), expected)
    assert os.listdir(out.parent) == ["flower.png"]


def test_seed(gan, gan_run, tmp_path):
    pictures = []
    for seed in (0, 7, 7):
        out = tmp_path / "flower.PNG"
        options = ["--model", gan_run / "model.keras", "--seed", seed]
        assert _generate(_CAPTIONS[0], *options, "--out", out) == 0
        pictures.append(_read(out))
    np.testing.assert_array_equal(pictures[1], pictures[2])
    assert not np.array_equal(pictures[0], pictures[1])
    expected = gan.generate(_CAPTIONS[0], seed=7)[0]
    np.testing.assert_array_equal(pictures[1], expected)


def test_truncation(gan, gan_run, tmp_path, error_of):
    out = tmp_path / "flower.png"
    options = ["--model", gan_run, "--seed", 3, "--truncation", 0.25]
    assert _generate(_CAPTIONS[0], *options, "--out", out) == 0
    gan.truncation = 0.25
    expected = gan.generate(_CAPTIONS[0], seed=3)[0]
    gan.truncation = 1.0
    np.testing.assert_array_equal(_read(out), expected)
    served = ["--model", "http://localhost:1/v1/models/flowers"]
    line = error_of("generate", "a rose", *served, "--truncation", 1)
    assert "--truncation is for a model in a run folder" in line


def test_folder_has_a_file_for_each_picture(gan, gan_run, tmp_path):
    out = tmp_path / "deep" / "pictures"
    options = ["--model", gan_run, "--num", 3, "--seed", 5]
    assert _generate(*_CAPTIONS, *options, "--out", out) == 0
    assert sorted(os.listdir(out)) == [
        "000-a-red-flower-seed5.png",
        "000-a-red-flower-seed6.png",
        "000-a-red-flower-seed7.png",
        "001-five-blue-petals-seed5.png",
        "001-five-blue-petals-seed6.png",
        "001-five-blue-petals-seed7.png",
    ]
    # Caption j, picture k has seed S + k.
    expected = gan.generate(np.repeat(_CAPTIONS, 3), seed=[5, 6, 7, 5, 6, 7])
    for file, picture in zip(sorted(os.listdir(out)), expected):
        np.testing.assert_array_equal(_read(out / file), picture)


def test_each_picture_is_what_it_would_be_alone(gan_run, tmp_path):
    options = ["--model", gan_run, "--num", 2, "--seed", 5]
    assert _generate(*_CAPTIONS, *options, "--out", tmp_path / "all") == 0
    alone = tmp_path / "alone.png"
    options = ["--model", gan_run, "--seed", 6, "--out", alone]
    assert _generate(_CAPTIONS[1], *options) == 0
    among = _read(tmp_path / "all" / "001-five-blue-petals-seed6.png")
    difference = np.abs(_read(alone).astype(int) - among)
    # Another batch size may sum in another order.
    assert difference.max() <= 1


@pytest.mark.parametrize("num", [1, 3])
def test_several_pictures_are_a_grid(gan_run, tmp_path, num):
    out = tmp_path / "grid.png"
    options = ["--model", gan_run, "--num", num, "--out", out]
    assert _generate(*_CAPTIONS, *options) == 0
    with Image.open(out) as image:
        # Captions beside rows of pictures, 136 pixels each.
        assert image.height == 2 * 136
        assert image.width > (num + 1) * 136
    assert os.listdir(tmp_path) == ["grid.png"]


def test_any_name_of_a_file(gan_run, tmp_path):
    captions = ["../../etc/passwd", "Rose: 5$ / 7€?", "花", "x" * 300]
    out = tmp_path / "out"
    assert _generate(*captions, "--model", gan_run, "--out", out) == 0
    assert sorted(os.listdir(out)) == [
        "000-etc-passwd-seed0.png",
        "001-rose-5-7-seed0.png",
        "002-caption-seed0.png",
        f"003-{'x' * 40}-seed0.png",
    ]


# A grid shows a box for what its font lacks, and matplotlib says so.
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_caption_in_a_grid(gan_run, tmp_path):
    captions = ["$\\frac{1}{$ roses", "花", "🌹", "line\nline"]
    captions.append("a \udcff rose")
    out = tmp_path / "grid.png"
    options = ["--model", gan_run, "--num", 2, "--out", out]
    assert _generate(*captions, *options) == 0
    assert len(_read(out)) == len(captions) * 136


@pytest.mark.parametrize("seed", [2**63 - 1, 2**63, 2**70])
def test_seed_beyond_64_bits(gan_run, tmp_path, error_of, seed):
    line = error_of(
        *["generate", "a rose", "--model", gan_run, "--seed", seed],
        *["--num", 2, "--out", tmp_path / "a.png"],
    )
    assert "64 bits" in line
    assert list(tmp_path.iterdir()) == []


def test_largest_seed(gan, gan_run, tmp_path):
    out = tmp_path / "a.png"
    options = ["--model", gan_run, "--seed", 2**63 - 1, "--out", out]
    assert _generate(_CAPTIONS[0], *options) == 0
    expected = gan.generate(_CAPTIONS[0], seed=2**63 - 1)[0]
    np.testing.assert_array_equal(_read(out), expected)


@pytest.mark.parametrize("caption", ["", " ", "\t\n", "{}", " {} "])
def test_empty_caption(gan_run, tmp_path, error_of, caption):
    line = error_of(
        *["generate", "a rose", caption, "--model", gan_run],
        *["--out", tmp_path / "a.png"],
    )
    assert f"A caption must hold some text. Received: {caption!r}" in line
    assert list(tmp_path.iterdir()) == []


def _no_model(kind, folder, text_run, gan_run):
    path = folder / "model.keras"
    if kind == "text file":
        path.write_text("no model")
    elif kind == "text encoder":
        return text_run / "model.keras"
    elif kind == "run of train-text":
        return text_run
    elif kind == "truncated":
        content = (gan_run / "model.keras").read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty folder":
        return folder
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "--model must name a run folder or a .keras file"),
        ("empty folder", "--model must name a run folder with a model"),
        ("text file", "--model must name a model saved by this library"),
        ("truncated", "--model must name a model saved by this library"),
        ("text encoder", "--model must name a text-to-image GAN.*JointEmbed"),
        ("run of train-text", "--model must name a text-to-image GAN"),
    ],
)
def test_no_model(text_run, gan_run, tmp_path, error_of, kind, message):
    folder = tmp_path / "models"
    folder.mkdir()
    path = _no_model(kind, folder, text_run, gan_run)
    out = tmp_path / "pictures" / "a.png"
    line = error_of("generate", "a rose", "--model", path, "--out", out)
    assert re.search(message, line)
    assert str(path) in line
    assert not out.parent.exists()


def test_what_is_taken_for_a_model(tmp_path, error_of):
    line = error_of("generate", "a rose", "--model", "gan_int_cls")
    assert "which is not there. The preset of this name has no weights." in line
    version = tmp_path / "all" / "mine" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    line = error_of("generate", "a rose", "--model", tmp_path / "all")
    assert "neither model.keras nor checkpoints." in line
    assert line.endswith(f"exported model: name '{version.parent}'.")


def test_a_run_that_holds_an_exported_model_is_a_run(gan_run, tmp_path):
    shutil.copytree(gan_run, tmp_path / "run")
    version = tmp_path / "run" / "exported" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    options = ["--model", tmp_path / "run", "--out", tmp_path / "a.png"]
    assert _generate("a rose", *options) == 0


def test_words_without_quotation_marks(gan_run, tmp_path, capsys):
    options = ["--model", gan_run, "--out", tmp_path / "a.png"]
    assert _generate("a", "red", "rose", *options) == 0
    assert capsys.readouterr().err == (
        "3 captions: a, red, rose. Put one of several words in quotation "
        "marks\n"
    )
    for captions in (["rose"], ["rose", "a lily"]):
        assert _generate(*captions, *options) == 0
        assert capsys.readouterr().err == ""


def test_bytes_that_are_not_utf_8_are_replaced(gan, gan_run, tmp_path):
    # As Python hands over the argument b"a \xff rose".
    options = ["--model", gan_run, "--out", tmp_path / "a.png"]
    assert _generate("a \udcff rose", *options) == 0
    expected = gan.generate([b"a \xff rose"])[0]
    np.testing.assert_array_equal(_read(tmp_path / "a.png"), expected)


def test_out_that_can_not_be_written(gan_run, tmp_path, error_of):
    (tmp_path / "file").write_text("precious")
    for out in ("file", "file/a.png", "file/folder", "file/deep/a.png"):
        out = tmp_path / out
        line = error_of("generate", "a rose", "--model", gan_run, "--out", out)
        assert str(tmp_path / "file") in line
        # Before the model is loaded, and hours of work are lost.
        line = error_of(
            "generate", "a rose", "--model", "nowhere", "--out", out
        )
        assert "--out must " in line
    assert (tmp_path / "file").read_text() == "precious"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.gif", "a.webp"])
def test_other_kinds_of_images_are_not_made_folders(
    gan_run, tmp_path, error_of, name
):
    out = tmp_path / name
    line = error_of("generate", "a rose", "--model", gan_run, "--out", out)
    assert "--out must name a .png file or a folder. Received: " in line
    assert not out.exists()
    # A folder may have a dot in its name.
    assert (
        _generate("a rose", "--model", gan_run, "--out", tmp_path / "v1.5") == 0
    )


@pytest.mark.filterwarnings("default")
def test_characters_that_are_not_known(gan_run, tmp_path, capsys):
    options = ["--model", gan_run, "--out", tmp_path / "a"]
    assert _generate("红色的花", *options) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "warning: The text encoder does not know 4 of 4 characters" in line
    assert "--preset word_cnn_rnn_small" in line
    assert _generate("a fleur fanée", *options) == 0
    assert capsys.readouterr().err == ""
