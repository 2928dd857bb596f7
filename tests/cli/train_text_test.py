import json
import re
import shutil

import keras
import numpy as np
import pytest

from keras_t2i import JointEmbedding
from keras_t2i.cli.main import main
from keras_t2i.cli.model_files import load_text_encoder
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.losses import SoftmaxJointEmbedding
from keras_t2i.losses import StructuredJointEmbedding
from keras_t2i.text.embeddings import embed_texts
from tests.cli.conftest import TEXT_OPTIONS
from tests.cli.conftest import contents


def test_run_folder(text_run, data):
    assert sorted(
        str(path.relative_to(text_run))
        for path in text_run.rglob("*")
        if path.is_file() and "embeddings" not in str(path)
    ) == [
        "checkpoints/step-00000010.keras",
        "config.json",
        "metrics.jsonl",
        "model.keras",
    ]
    config = json.loads((text_run / "config.json").read_text())
    assert config["command"] == "train-text"
    assert config["options"] == {
        "data": str(data),
        "preset": "char_cnn_rnn_small",
        "batch_size": 8,
        "image_encoder": "small",
        "image_weights": None,
        "freeze_images": False,
        "epochs": None,
        "steps": 10,
        "minutes": None,
        "seed": 0,
    }


def test_metrics(text_run):
    (line,) = (text_run / "metrics.jsonl").read_text().splitlines()
    values = json.loads(line)
    # 54 images make 6 steps an epoch.
    assert (values["step"], values["epoch"]) == (10, 1)
    assert values["seconds"] > 0
    assert np.isfinite(values["loss"])
    assert 0 <= values["image_to_text_accuracy"] <= 1
    assert 0 <= values["text_to_image_accuracy"] <= 1


def test_model_has_embeddings_of_size_one(text_run):
    model = keras.saving.load_model(text_run / "model.keras")
    assert isinstance(model, JointEmbedding)
    assert model.text_encoder.output_shape == (None, 256)
    captions = ["a red flower", "five blue petals", "a yellow center"]
    embeddings = embed_texts(model.text_encoder, captions)
    assert 0.5 < np.sqrt(np.mean(embeddings**2)) < 2
    checkpoint = keras.saving.load_model(
        text_run / "checkpoints/step-00000010.keras"
    )
    # The same encoder but for the scale.
    unscaled = embed_texts(checkpoint.text_encoder, captions)
    ratio = embeddings / unscaled
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-3)


def test_output(data, tmp_path, capsys):
    out = tmp_path / "deep" / "run"
    argv = ["train-text", "--data", str(data), "--out", str(out)]
    assert main([*argv, *TEXT_OPTIONS, "--epochs", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"text encoder: {out}/model.keras\n"
    assert captured.err.splitlines()[-1].startswith("Training: 6 of 6 steps, ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "train-text needs --data DIR"),
        (["--data", "nowhere"], "`keras-t2i prepare`.*'nowhere'"),
        (["--data", "DATA", "--preset", "bert"], "char_cnn_rnn_small.*'bert'"),
        (["--resume"], "--resume goes on.*run', which holds no run"),
        (
            ["--data", "DATA", "--image-encoder", "MobileNetV9"],
            "MobileNetV2, .*Received: 'MobileNetV9'",
        ),
        (
            ["--data", "DATA", "--image-encoder", "none.npz"],
            "none.npz",
        ),
        (
            ["--data", "DATA", "--freeze-images"],
            "are for an --image-encoder of keras.app.*--image-encoder small",
        ),
        (
            ["--data", "DATA", "--image-weights", "w", "--image-encoder", "."],
            "are for an --image-encoder of keras.app.*--image-encoder .",
        ),
        (
            [
                *["--data", "DATA", "--image-encoder", "VGG16"],
                "--freeze-images",
            ],
            "must have trained weights. Received: frozen=True",
        ),
    ],
)
def test_bad_input(data, tmp_path, error_of, options, message):
    out = tmp_path / "run"
    options = [str(data) if o == "DATA" else o for o in options]
    assert re.search(message, error_of("train-text", *options, "--out", out))
    assert not out.exists()


def test_damaged_shard(data, tmp_path, error_of):
    damaged = shutil.copytree(data, tmp_path / "data")
    (shard,) = damaged.glob("train-*")
    shard.write_bytes(shard.read_bytes()[:-20])
    out = tmp_path / "run"
    line = error_of("train-text", "--data", damaged, "--out", out)
    assert f"{shard} must have the SHA-256" in line
    assert not out.exists()


def test_out_that_holds_a_run(data, text_run, error_of):
    before = contents(text_run)
    line = error_of("train-text", "--data", data, "--out", text_run)
    assert "which holds a run" in line
    assert contents(text_run) == before


def _train(data, out, *options):
    argv = ["train-text", "--data", data, "--out", out, *options]
    assert main([str(argument) for argument in argv]) == 0
    return keras.saving.load_model(out / "checkpoints/step-00000002.keras")


def test_the_published_training(data, tmp_path):
    options = ["--preset", "char_cnn_rnn_cvpr", "--batch-size", 4]
    model = _train(data, tmp_path / "run", *options, "--steps", 2)
    optimizer = model.optimizer.get_config()
    assert optimizer["name"] == "rm_sprop"
    assert (optimizer["rho"], optimizer["epsilon"]) == (0.99, 1e-16)
    # 54 images make 13 steps an epoch.
    assert optimizer["learning_rate"]["config"] == {
        **optimizer["learning_rate"]["config"],
        "initial_learning_rate": 7e-4,
        "decay_steps": 13,
        "decay_rate": 0.98,
        "staircase": True,
    }
    assert isinstance(model.loss, StructuredJointEmbedding)
    # Two steps away from uniform in [-0.08, 0.08], biases as well.
    for weight in model.text_encoder.weights:
        values = np.abs(np.array(weight))
        assert values.max() < 0.1
        assert values.mean() > 0.03, weight.path


def test_words(data, tmp_path):
    out = tmp_path / "run"
    options = ["--preset", "word_cnn_rnn_small", "--batch-size", 8]
    model = _train(data, out, *options, "--steps", 2)
    assert isinstance(model.loss, SoftmaxJointEmbedding)
    vocabulary = model.text_encoder.vocabulary
    assert {"petals", "red", "5", "center"} <= set(vocabulary)
    assert len(vocabulary) < 60
    # The ids of words, not of characters, reach the encoder.
    encoder = load_text_encoder(out)
    first, second = embed_texts(encoder, ["red petals", "petals, Red"])
    assert not np.allclose(first, second)
    first, second = embed_texts(encoder, ["red petals", "Red (petals) xyzzy"])
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_features_of_images(data, tmp_path):
    features = tmp_path / "features.npz"
    names = PreparedExamples(data, "trainval").text_ids()
    np.savez(features, **{name: np.ones(5) for name in names})
    out = tmp_path / "run"
    options = [*TEXT_OPTIONS, "--image-encoder", features]
    model = _train(data, out, *options, "--steps", 2)
    assert model.image_encoder.input_shape == (None, 5)
    assert main(
        ["train-text", "--out", str(out), "--resume", "--steps", "4"]
    ) == (0)
    model = keras.saving.load_model(out / "model.keras")
    assert int(model.optimizer.iterations) == 4


def test_names_of_networks_are_no_paths(data, tmp_path, monkeypatch, error_of):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    (tmp_path / "VGG16").write_text("")
    model = _train(data, tmp_path / "run", *TEXT_OPTIONS, "--steps", 2)
    assert model.image_encoder.input_shape == (None, 32, 32, 3)
    argv = ["train-text", "--data", data, "--out", tmp_path / "other"]
    line = error_of(*argv, "--image-encoder", "VGG16", "--freeze-images")
    assert "must have trained weights. Received: frozen=True" in line
    line = error_of(*argv, "--image-encoder", "./small")
    assert "small must hold an array for each image" in line
