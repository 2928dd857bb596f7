"""`benchmarks/sweep.py`: runs that differ in one setting, and are resumed."""

import pathlib
import runpy
import sys

import keras
import pytest

from keras_t2i import Recipe
from keras_t2i import StyleRecipe
from keras_t2i import TextRecipe
from keras_t2i.datasets.blooms_source import BloomsSource
from keras_t2i.datasets.preparation import prepare
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_joint_embedding

_SCRIPT = pathlib.Path(__file__).parents[1] / "benchmarks" / "sweep.py"


@pytest.fixture
def data(tmp_path):
    prepare(BloomsSource(60), tmp_path / "data", image_size=32)
    return tmp_path / "data"


@pytest.fixture
def run(monkeypatch):
    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["sweep.py", *map(str, argv)])
        runpy.run_path(str(_SCRIPT), run_name="__main__")

    return run


@pytest.mark.large
def test_gans(data, tmp_path, run):
    tiny_joint_embedding().save(tmp_path / "encoder.keras")
    argv = ["--data", data, "--text-encoder", tmp_path / "encoder.keras"]
    argv += ["--out", tmp_path / "runs", "--width", 2, "--batch-size", 4]
    run(*argv, "--steps", 1, "fusion_4", "staged_by_steps")
    recipe = Recipe().override(width=2, batch_size=4, steps=1)
    assert Recipe.from_run(tmp_path / "runs" / "fusion_4") == recipe.override(
        fusion_size=4
    )
    staged = Recipe.from_run(tmp_path / "runs" / "staged_by_steps")
    assert staged == recipe.override(matching_start_step=1000)
    run(*argv, "--steps", 2, "fusion_4")
    gan = keras.saving.load_model(tmp_path / "runs/fusion_4/model.keras")
    assert int(gan.generator_optimizer.iterations) == 2


@pytest.mark.large
def test_text_encoders(data, tmp_path, run, capsys):
    argv = ["--data", data, "--out", tmp_path / "runs", "--steps", 1]
    run(*argv, "--batch-size", 4, "hinge_margin_0.2")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| setting | steps | zero_shot_accuracy | ")
    assert lines[2].startswith("| hinge_margin_0.2 | 1 | ")
    recipe = TextRecipe.from_run(tmp_path / "runs" / "hinge_margin_0.2")
    assert recipe == TextRecipe.from_preset("char_cnn_rnn_small").override(
        batch_size=4, margin=0.2, split="train", steps=1
    )


def test_style_encoders(data, tmp_path, run):
    tiny_gan().save(tmp_path / "gan.keras")
    argv = ["--data", data, "--model", tmp_path / "gan.keras"]
    argv += ["--out", tmp_path / "runs", "--steps", 1, "--batch-size", 4]
    run(*argv, "color_jitter")
    recipe = StyleRecipe(
        color_jitter=0.1, reconstruction_weight=0.0, batch_size=4
    )
    assert StyleRecipe.from_run(
        tmp_path / "runs" / "color_jitter"
    ) == recipe.override(steps=1)
