"""Training and evaluation on features of EfficientNet-Lite."""

import contextlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_t2i.applications.feature_extraction import extract_image_features
from keras_t2i.applications.feature_networks import image_network
from keras_t2i.applications.feature_networks import pooled_network
from keras_t2i.cli.main import main
from keras_t2i.cli.text_evaluation import evaluate_text
from keras_t2i.linear_decay import linear_decays
from keras_t2i.losses import SoftmaxJointEmbedding
from keras_t2i.training import precomputed
from keras_t2i.training.precomputed import network_features
from tests.cli.conftest import contents
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import write_prepared_set
from tests.full_disk import small_files

NETWORK = ["--image-encoder", "efficientnet_lite0"]


def _write_data(folder):
    """Nine images of three classes to train on, and three to test on."""
    images = [
        example(number, class_id=number % 3, height=32, width=40)
        for number in range(12)
    ]
    splits = {"train": [images[:9]], "test": [images[9:]]}
    write_prepared_set(folder, splits, "abc", image_size=32)
    return folder


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    return _write_data(tmp_path_factory.mktemp("flowers") / "data")


@pytest.fixture(scope="module")
def started(flowers, tmp_path_factory):
    """A run of ten steps, what it said on stderr, and how long it took."""
    folder = tmp_path_factory.mktemp("features") / "run"
    argv = ["train-text", "--data", flowers, "--out", folder, *NETWORK]
    begin = time.monotonic()
    with contextlib.redirect_stderr(io.StringIO()) as error:
        assert main([*map(str, argv), "--steps", "10"]) == 0
    return folder, error.getvalue(), time.monotonic() - begin


@pytest.fixture
def run(started):
    return started[0]


def test_the_run(run, flowers):
    recipe = json.loads((run / "config.json").read_text())["recipe"]
    assert recipe["image_encoder"] == "efficientnet_lite0"
    assert recipe["preset"] == "char_cnn_rnn_features"
    assert recipe["batch_size"] == 64
    model = keras.saving.load_model(run / "checkpoints/step-00000010.keras")
    assert model.image_encoder.input_shape == (None, 1776)
    assert model.image_network == "efficientnet_lite0"
    assert isinstance(model.loss, SoftmaxJointEmbedding)
    (decay,) = linear_decays(model)
    assert (decay.first_step, decay.last_step) == (2, 10)
    assert model.optimizer.use_ema and model.optimizer.ema_momentum == 0.995
    # The folder says what it is, and nothing else lies beside it.
    (features,) = [path for path in flowers.iterdir() if path.is_dir()]
    assert re.fullmatch(
        r"features-efficientnet_lite0-[\da-f]{12}", features.name
    )
    network = pooled_network("efficientnet_lite0", 224)
    assert features == extract_image_features(network, flowers, 224, 4)


def test_evaluate_text_finds_the_features(run, flowers, capsys, tmp_path):
    before = contents(flowers)
    capsys.readouterr()
    file = shutil.copy(run / "model.keras", tmp_path / "bare.keras")
    argv = ["evaluate-text", "--data", flowers, "--text-encoder", file]
    assert main([str(argument) for argument in argv]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    results = json.loads(captured.out)
    (features,) = flowers.glob("features-*")
    model = keras.saving.load_model(file)
    assert results == evaluate_text(model, flowers, "test", features)
    assert contents(flowers) == before


def test_the_time_is_told_and_not_part_of_the_training(started, flowers):
    run, error, seconds = started
    progress, told, *others = error.splitlines()
    assert progress.startswith("Computing image features: 12 of 12 images, ")
    (features,) = flowers.glob("features-*")
    match = re.fullmatch(rf"image features: (\d+) s, kept in {features}", told)
    (line,) = (run / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["seconds"] < seconds - int(match[1]) + 0.5
    assert not any("features" in line for line in others)


@pytest.mark.usefixtures("eagerly")
def test_a_run_goes_on(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    argv = ["train-text", "--out", str(copy), "--resume", "--steps", "12"]
    assert main(argv) == 0
    model = keras.saving.load_model(copy / "model.keras")
    assert int(model.optimizer.iterations) == 12
    (decay,) = linear_decays(model)
    assert (decay.first_step, decay.last_step) == (3, 12)


def test_the_published_weights_are_averages(run):
    model = keras.saving.load_model(run / "model.keras")
    checkpoint = keras.saving.load_model(
        run / "checkpoints/step-00000010.keras"
    )
    # But for the scale of the embeddings.
    kernel = model.text_encoder.layers[2].kernel
    optimizer = checkpoint.optimizer
    optimizer.finalize_variable_values(checkpoint.trainable_weights)
    np.testing.assert_array_equal(
        kernel, checkpoint.text_encoder.layers[2].kernel
    )


@pytest.mark.usefixtures("eagerly")
def test_a_run_with_features_of_the_last_map_alone_goes_on(
    tmp_path, monkeypatch, capsys
):
    """Its features are computed, or found, once more by their number."""
    data, run = _write_data(tmp_path / "data"), str(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(precomputed, "pooled_network", _of_the_last_map)
        assert main(_argv(data, run)) == 0
    before = contents(data)
    resumed = ["train-text", "--out", run, "--resume", "--steps", "2"]
    assert main(resumed) == 0
    model = keras.saving.load_model(tmp_path / "run/model.keras")
    assert model.image_encoder.input_shape == (None, 1280)
    capsys.readouterr()
    argv = ["evaluate-text", "--data", str(data), "--text-encoder", run]
    assert main(argv) == 0
    (features,) = data.glob("features-*")
    results = json.loads(capsys.readouterr().out)
    assert results == evaluate_text(model, data, "test", features)
    assert contents(data) == before


def _of_the_last_map(name, image_size, num_features):
    assert num_features is None
    return image_network(name, image_size)


@pytest.mark.usefixtures("eagerly")
def test_a_preset_that_is_named(flowers, run, tmp_path):
    argv = ["train-text", "--data", flowers, "--out", tmp_path / "run"]
    argv += [*NETWORK, "--preset", "char_cnn_rnn_small_softmax", "--steps", 2]
    assert main([str(argument) for argument in argv]) == 0
    model = keras.saving.load_model(tmp_path / "run/model.keras")
    assert not model.optimizer.use_ema
    assert model.image_network == "efficientnet_lite0"


def test_an_unknown_network(flowers, run):
    with pytest.raises(ValueError, match="lite2. Received: 'efficientnet_b9'"):
        network_features("efficientnet_b9", flowers)
    model = keras.saving.load_model(run / "model.keras")
    config = {**model.get_config(), "image_network": "efficientnet_b9"}
    model = type(model).from_config(config)
    with pytest.raises(ValueError, match="lite2. Received: 'efficientnet_b9'"):
        evaluate_text(model, flowers, "test")


def _argv(data, out):
    argv = ["train-text", "--data", data, "--out", out, *NETWORK]
    return [str(part) for part in [*argv, "--steps", 1]]


def _without_progress(error):
    # Where the machine is slow, it is told how far it is.
    progress = "Computing image features: "
    return [
        line for line in error.splitlines() if not line.startswith(progress)
    ]


def test_an_interrupted_extraction(tmp_path):
    data = tmp_path / "data"
    images = [example(number, height=300, width=300) for number in range(60)]
    write_prepared_set(data, {"train": [images]}, image_size=64)
    process = subprocess.Popen(
        [
            *[sys.executable, "-m", "keras_t2i.cli.main"],
            *_argv(data, tmp_path / "run"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 240
    while not list(data.glob("features-*/.tmp-*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert _without_progress(error) == ["keras-t2i: interrupted"]
    (features,) = data.glob("features-*")
    assert list(features.iterdir()) == []
    assert not (tmp_path / "run").exists()


def test_a_full_disk(tmp_path, capsys):
    data = _write_data(tmp_path / "data")
    # Less than the features of nine images.
    with small_files(100_000):
        assert main(_argv(data, tmp_path / "run")) == 1
    out, error = capsys.readouterr()
    assert out == ""
    (line,) = _without_progress(error)
    assert line.startswith("keras-t2i: ") and "File too large" in line
    (features,) = data.glob("features-*")
    assert list(features.iterdir()) == []
    assert not (tmp_path / "run").exists()
