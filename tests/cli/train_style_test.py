import hashlib
import json
import re
import shutil

import keras
import numpy as np
import pytest

import keras_t2i
from keras_t2i import StyleInversion
from keras_t2i import StyleRecipe
from keras_t2i.cli.main import main
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.training import style_training
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.style_training import captions_to_measure
from tests.cli.conftest import contents
from tests.cli.run_states import assert_same_state
from tests.cli.run_states import lines_of
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import write_prepared_set


def _main(*argv):
    return main([str(argument) for argument in argv])


def test_run_folder(style_run, data, gan_run):
    assert sorted(contents(style_run)) == [
        "checkpoints/step-00000020.keras",
        "config.json",
        "metrics.jsonl",
        "model.keras",
        "r_squared.json",
    ]
    config = json.loads((style_run / "config.json").read_text())
    assert config["command"] == "train-style"
    assert config["recipe"] == StyleRecipe(steps=20, minutes=None).to_dict()
    digest = data_fingerprint(read_manifest(data))
    model = (gan_run / "model.keras").read_bytes()
    model_digest = hashlib.sha256(model).hexdigest()
    assert config["inputs"] == {
        "data": {"path": str(data), "digest": digest},
        "model": {"path": str(gan_run), "digest": model_digest},
    }


def test_metrics(style_run):
    first, second = lines_of(style_run)
    # It learns from real images too.
    assert set(first) == {
        *("step", "epoch", "loss", "r_squared", "reconstruction_error")
    }
    # 54 images are less than a batch of 64: an epoch a step.
    assert (first["step"], first["epoch"]) == (10, 10)
    assert second["loss"] == pytest.approx(1 - second["r_squared"], abs=1e-5)
    # Twenty steps move it; that it learns is tested with the model.
    assert second["loss"] != first["loss"]


def test_what_is_inverted_is_what_generate_draws_with(style_run, gan_run):
    inversion = keras.saving.load_model(style_run / "model.keras")
    gan = load_gan(gan_run)
    assert isinstance(inversion, StyleInversion)
    assert inversion.reconstruction_weight == 5.0
    for weight, expected in zip(
        inversion.generator.get_weights(), gan.ema_generator.get_weights()
    ):
        np.testing.assert_array_equal(weight, expected)
    # The trained weights themselves are others.
    kernel = gan.generator.get_layer("convolution_8").kernel
    assert not np.array_equal(
        inversion.generator.get_layer("convolution_8").kernel, kernel
    )
    for weight, expected in zip(
        inversion.text_encoder.get_weights(), gan.text_encoder.get_weights()
    ):
        np.testing.assert_array_equal(weight, expected)


def test_r_squared_is_that_of_unseen_captions(style_run, data):
    measured = json.loads((style_run / "r_squared.json").read_text())
    # One of each image of the test split.
    assert measured["num_captions"] == 6
    assert measured["split"] == "test"
    assert measured["step"] == 20
    assert len(measured["r_squared_per_dimension"]) == 100
    assert len(measured["effect_per_dimension"]) == 100
    captions, split = captions_to_measure(data, read_manifest(data))
    assert split == "test"
    inversion = keras.saving.load_model(style_run / "model.keras")
    again = inversion.noise_r_squared(captions)
    assert measured["r_squared"] == pytest.approx(again.r_squared, abs=1e-6)
    assert measured["r_squared"] == pytest.approx(
        np.mean(measured["r_squared_per_dimension"]), abs=1e-6
    )


def test_output(style_run, data, gan_run, tmp_path, capsys):
    out = tmp_path / "deep" / "run"
    argv = ["train-style", "--model", gan_run, "--data", data, "--out", out]
    assert _main(*argv, "--minutes", "0.001") == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0] == f"style encoder: {out}/model.keras"
    assert re.fullmatch(
        r"R\^2 of the noise, on unseen captions: -?[\d.]+ \(-?[\d.]+ to "
        rf"-?[\d.]+ in the 100 dimensions, all in {out}/r_squared.json\)",
        lines[1],
    )
    assert captured.err.splitlines()[-1].startswith("Training: ")
    recipe = json.loads((out / "config.json").read_text())["recipe"]
    assert recipe["minutes"] == 0.001


@pytest.mark.usefixtures("eagerly")
def test_without_a_test_split(gan_run, tmp_path, capsys):
    examples = [example(number, height=40, width=32) for number in range(3)]
    splits = {"train": [examples]}
    write_prepared_set(tmp_path / "data", splits, image_size=32)
    out = tmp_path / "run"
    argv = ["--model", gan_run, "--data", tmp_path / "data", "--out", out]
    assert _main("train-style", *argv, "--steps", 1) == 0
    assert "on captions trained on: " in capsys.readouterr().out
    measured = json.loads((out / "r_squared.json").read_text())
    assert measured["split"] == "train"


@pytest.mark.usefixtures("eagerly")
def test_a_text_encoder_of_any_kind(data, tmp_path):
    """One that does not say what it reads reads characters."""
    token_ids = keras.Input((201,), dtype="int32")
    embedding = keras.layers.Embedding(71, 8)(token_ids)
    embedding = keras.layers.GlobalAveragePooling1D()(embedding)
    text_encoder = keras.Model(token_ids, embedding)
    gan = keras_t2i.TextToImageGAN.from_preset(
        "gan_int_cls", image_size=32, width=4, text_encoder=text_encoder
    )
    gan.save(tmp_path / "gan.keras")
    argv = ["--model", tmp_path / "gan.keras", "--data", data]
    assert (
        _main("train-style", *argv, "--out", tmp_path / "run", "--steps", 1)
        == 0
    )


def test_what_was_measured_of_an_earlier_model_goes(
    style_run, tmp_path, monkeypatch
):
    run = shutil.copytree(style_run, tmp_path / "run")

    def interrupted(*arguments, **options):
        return KeyboardInterrupt()

    monkeypatch.setattr(style_training, "fit_run", interrupted)
    argv = ["train-style", "--out", run, "--resume", "--steps", 21]
    assert _main(*argv) == 130
    assert (run / "model.keras").exists()
    assert not (run / "r_squared.json").exists()


@pytest.mark.usefixtures("eagerly")
def test_ignored_noise_is_told(data, gan_run, tmp_path, capsys):
    gan = load_gan(gan_run)
    kernel = gan.ema_generator.get_layer("convolution_4").kernel
    values = np.array(kernel)
    values[..., :7] = 0.0
    kernel.assign(values)
    gan.save(tmp_path / "gan.keras")
    out = tmp_path / "run"
    argv = ["--model", tmp_path / "gan.keras", "--data", data, "--out", out]
    assert _main("train-style", *argv, "--steps", 1) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    told = re.fullmatch(r"the GAN ignores (\d+) of its 100 noise.*", last)
    measured = json.loads((out / "r_squared.json").read_text())
    assert measured["ignored_dimensions"][:7] == list(range(7))
    assert int(told[1]) == len(measured["ignored_dimensions"])


def test_it_goes_on(style_run, data, gan_run, tmp_path):
    run = tmp_path / "run"
    argv = ["train-style", "--model", gan_run, "--data", data, "--out", run]
    assert _main(*argv, "--steps", 3) == 0
    argv = ["train-style", "--out", run, "--resume", "--steps", 20]
    assert _main(*argv) == 0
    assert_same_state(run / "model.keras", style_run / "model.keras")
    assert lines_of(run) == lines_of(style_run)
    name = "r_squared.json"
    assert (run / name).read_text() == (style_run / name).read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "train-style needs --model.*Received: no --model"),
        (["--model", "GAN"], "Received: no --data"),
        (["--model", "GAN", "--data", "nowhere"], "`keras-t2i prepare`"),
        (["--model", "nowhere", "--data", "DATA"], "--model must name"),
        (["--model", "TEXT", "--data", "DATA"], "a JointEmbedding"),
        (["--resume"], "--resume needs.*run', which holds no run"),
    ],
)
def test_bad_input(
    data, text_run, gan_run, tmp_path, error_of, options, message
):
    out = tmp_path / "run"
    names = {"DATA": data, "GAN": gan_run, "TEXT": text_run}
    options = [names.get(option, option) for option in options]
    assert re.search(message, error_of("train-style", *options, "--out", out))
    assert not out.exists()


def test_another_model_can_not_be_gone_on_with(style_run, tmp_path, error_of):
    run = shutil.copytree(style_run, tmp_path / "run")
    line = error_of(
        *["train-style", "--out", run, "--resume", "--model", "other"]
    )
    assert "--model must name a run folder" in line
    assert "'other', which is not there" in line


def test_out_that_holds_a_run(style_run, data, gan_run, error_of):
    before = contents(style_run)
    argv = ["--model", gan_run, "--data", data, "--out", style_run]
    assert "which holds a run" in error_of("train-style", *argv)
    assert contents(style_run) == before


def test_steps_or_minutes(data, gan_run, tmp_path, capsys):
    argv = ["train-style", "--model", gan_run, "--data", data]
    with pytest.raises(SystemExit) as error:
        _main(*argv, "--out", tmp_path, "--steps", 5, "--minutes", 1)
    assert error.value.code == 2
    assert "not allowed with" in capsys.readouterr().err
