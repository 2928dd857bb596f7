"""Runs each example, on tiny models."""

import ast
import importlib.util
import pathlib
import runpy
import sys

import numpy as np
import pytest
from PIL import Image

import keras_t2i
from keras_t2i import StyleInversion
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_style_encoder

_FOLDER = pathlib.Path(__file__).parents[1] / "examples"
_TINY = ["--num-images", "8", "--width", "2", "--epochs", "1"]
_EXAMPLES = {
    "generation_grid": (7, 4),
    "style_transfer": (7, 5),
    "text_interpolation": (8, 3),
    "noise_interpolation": (8, 3),
    "disentangling": None,
}
# What a user of the library sees of it.
_PUBLIC = {"keras_t2i", "keras_t2i.datasets"}


def _run(monkeypatch, name, *options):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, options)])
    monkeypatch.syspath_prepend(_FOLDER)
    runpy.run_path(str(_FOLDER / f"{name}.py"), run_name="__main__")


@pytest.fixture
def untrained(monkeypatch):
    """Leaves out the training, which two of the examples do."""
    for model in (
        keras_t2i.JointEmbedding,
        keras_t2i.TextToImageGAN,
        keras_t2i.StyleInversion,
    ):
        monkeypatch.setattr(model, "fit", lambda self, *_, **__: None)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A GAN and the inversion of it, as commands save them."""
    folder = tmp_path_factory.mktemp("models")
    gan = tiny_gan()
    gan.save(folder / "gan.keras")
    inversion = StyleInversion(
        gan.ema_generator, gan.text_encoder, tiny_style_encoder()
    )
    inversion.save(folder / "style.keras")
    return folder / "gan.keras", folder / "style.keras"


def test_all_examples_are_tested():
    names = {path.stem for path in _FOLDER.glob("*.py")}
    assert names == {*_EXAMPLES, "small_models"}


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", ["style_transfer", "text_interpolation"])
def test_an_example_trains_what_it_needs(monkeypatch, tmp_path, capsys, name):
    out = tmp_path / "figure.png"
    _run(monkeypatch, name, *_TINY, "--out", out)
    assert capsys.readouterr().out.splitlines()[-1] == f"figure: {out}"
    with Image.open(out) as image:
        assert np.asarray(image).std() > 0


@pytest.mark.usefixtures("eagerly")
def test_a_style_encoder_has_the_size_of_the_gan(monkeypatch, tmp_path, files):
    out = tmp_path / "figure.png"
    options = [*_TINY, "--model", files[0], "--image-size", "64"]
    _run(monkeypatch, "style_transfer", *options, "--out", out)
    assert out.exists()


@pytest.mark.usefixtures("eagerly")
def test_variants_are_trained_one_after_another(
    untrained, monkeypatch, tmp_path, capsys
):
    out = tmp_path / "figure.png"
    _run(monkeypatch, "generation_grid", *_TINY, "--out", out)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        *(
            f"Training {preset} for 1 epochs"
            for preset in ("gan", "gan_cls", "gan_int", "gan_int_cls")
        ),
        f"figure: {out}",
    ]
    assert out.exists()


def test_disentangling_is_measured(untrained, monkeypatch, tmp_path, capsys):
    out = tmp_path / "figure.png"
    options = ["--variants", "GAN-INT", "--num-unseen", 12, "--out", out]
    _run(monkeypatch, "disentangling", *_TINY, *options)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[-3:]] == [
        "GAN-INT",
        "text",
        "figure",
    ]
    assert out.exists()


def test_what_can_not_end_well_is_not_begun(
    monkeypatch, tmp_path, capsys, files
):
    (tmp_path / "file").write_text("")
    for name, options, message in (
        ("style_transfer", ["--style-encoder", files[1]], "needs --model"),
        ("text_interpolation", ["--out", tmp_path / "file" / "a.png"], "--out"),
    ):
        with pytest.raises(SystemExit):
            _run(monkeypatch, name, *options)
        captured = capsys.readouterr()
        assert message in captured.err
        assert "Training" not in captured.out


def test_disentangling_asks_for_scikit_learn_first(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        _run(monkeypatch, "disentangling")
    captured = capsys.readouterr()
    assert "keras-t2i[metrics]" in captured.err
    assert "Training" not in captured.out


@pytest.mark.usefixtures("eagerly")
def test_folders_are_made(monkeypatch, tmp_path, files):
    out = tmp_path / "deep" / "figure.png"
    _run(monkeypatch, "text_interpolation", "--model", files[0], "--out", out)
    assert out.exists()


@pytest.mark.parametrize(
    "options", [["--models", "a", "b"], ["--style-encoders", "s"]]
)
def test_disentangling_needs_a_style_encoder_for_each_model(
    monkeypatch, capsys, options
):
    with pytest.raises(SystemExit):
        _run(monkeypatch, "disentangling", "--variants", "GAN", *options)
    assert "one file for each of the 1 variants" in capsys.readouterr().err


@pytest.mark.parametrize("name", _EXAMPLES)
def test_with_trained_models(monkeypatch, tmp_path, capsys, files, name):
    gan, style = files
    out = tmp_path / "figure.png"
    options = {
        "generation_grid": ["--models", gan, gan, gan, gan],
        "style_transfer": ["--model", gan, "--style-encoder", style],
        "text_interpolation": ["--model", gan],
        "noise_interpolation": ["--model", gan],
        "disentangling": [
            *["--variants", "GAN", "--models", gan],
            *["--style-encoders", style, "--num-unseen", 12],
        ],
    }
    _run(monkeypatch, name, *options[name], "--out", out)
    assert "Training" not in capsys.readouterr().out
    with Image.open(out) as image:
        width, height = image.size
    if _EXAMPLES[name] is not None:
        columns, rows = _EXAMPLES[name]
        # Of 136 pixels each, and words beside or above them.
        assert columns * 136 <= width < (columns + 4) * 128
        assert rows * 136 <= height < (rows + 2) * 128


@pytest.mark.parametrize("name", [*_EXAMPLES, "small_models"])
def test_only_public_names_are_imported(name):
    tree = ast.parse((_FOLDER / f"{name}.py").read_text("utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
            module = sys.modules[node.module]
            assert {alias.name for alias in node.names} <= set(module.__all__)
    ours = {module for module in imported if module.startswith("keras_t2i")}
    assert ours <= _PUBLIC
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_")
            if (
                isinstance(node.value, ast.Name)
                and node.value.id == "keras_t2i"
            ):
                assert node.attr in keras_t2i.__all__
