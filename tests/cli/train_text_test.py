import json
import re
import shutil

import keras
import numpy as np
import pytest

from keras_t2i import JointEmbedding
from keras_t2i import TextRecipe
from keras_t2i.cli.main import main
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.losses import SoftmaxJointEmbedding
from keras_t2i.losses import StructuredJointEmbedding
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.training.model_files import load_text_encoder
from keras_t2i.training.text_training import epoch_steps
from tests.cli.conftest import TEXT_OPTIONS
from tests.cli.conftest import contents
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import write_prepared_set


@pytest.fixture
def few_classes(tmp_path):
    """Twelve images of three classes to train on, and three to test on."""
    images = [
        example(number, class_id=number % 3, height=32, width=32)
        for number in range(15)
    ]
    splits = {"train": [images[:12]], "test": [images[12:]]}
    write_prepared_set(tmp_path / "few", splits, "abc", image_size=32)
    return tmp_path / "few"


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
    recipe = TextRecipe.from_preset("char_cnn_rnn_small")
    recipe = recipe.override(batch_size=8, steps=10)
    assert config["recipe"] == recipe.to_dict()
    digest = data_fingerprint(read_manifest(data))
    assert config["inputs"] == {"data": {"path": str(data), "digest": digest}}


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


@pytest.mark.usefixtures("eagerly")
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
        (["--resume"], "--resume needs.*run', which holds no run"),
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
                *["--data", "DATA", "--image-encoder", "efficientnet_lite0"],
                "--freeze-images",
            ],
            "are for an --image-encoder of keras.app.*efficientnet_lite0",
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
    (checkpoint,) = (out / "checkpoints").iterdir()
    return keras.saving.load_model(checkpoint)


@pytest.mark.usefixtures("eagerly")
def test_the_published_training(few_classes, tmp_path):
    options = ["--preset", "char_cnn_rnn_cvpr", "--batch-size", 2]
    model = _train(few_classes, tmp_path / "run", *options, "--epochs", 1)
    optimizer = model.optimizer.get_config()
    assert isinstance(model.optimizer, keras.optimizers.RMSprop)
    assert (optimizer["rho"], optimizer["epsilon"]) == (0.99, 1e-16)
    # A step for each class, though images would fill six batches.
    assert int(model.optimizer.iterations) == 3
    assert optimizer["learning_rate"]["config"] == {
        **optimizer["learning_rate"]["config"],
        "initial_learning_rate": 7e-4,
        "decay_steps": 3,
        "decay_rate": 0.98,
        "staircase": True,
    }
    assert isinstance(model.loss, StructuredJointEmbedding)
    # Uniform in [-0.08, 0.08], biases as well, and three steps away from that,
    # each of ten learning rates at the most.
    for weight in model.text_encoder.weights:
        values = np.abs(np.array(weight))
        assert values.max() < 0.08 + 3 * 7e-3 + 1e-4
        assert values.mean() > 0.03, weight.path


def test_epochs_without_classes(tmp_path):
    images = [example(number) for number in range(9)]
    write_prepared_set(tmp_path, {"train": [images]})
    recipe = TextRecipe.from_preset("char_cnn_rnn_cvpr")
    assert epoch_steps(recipe, tmp_path, "train", 4) == 2
    assert epoch_steps(recipe, tmp_path, "train", 40) == 1


@pytest.mark.usefixtures("eagerly")
def test_fewer_classes_than_a_batch_takes(few_classes, tmp_path, capsys):
    options = ["--preset", "char_cnn_rnn_small_softmax", "--steps", 1]
    _train(few_classes, tmp_path / "run", *options)
    assert (
        "smaller batches: 3 images instead of 64, since there are only 3 "
        "classes to train on. Images prepared without sub-folders make larger "
        "ones"
    ) in capsys.readouterr().err.splitlines()


@pytest.mark.usefixtures("eagerly")
def test_fewer_images_without_classes_than_a_batch_takes(tmp_path, capsys):
    images = [example(number, height=38, width=40) for number in range(9)]
    data = tmp_path / "data"
    write_prepared_set(data, {"train": [images]}, image_size=32)
    options = ["--batch-size", 10000000, "--steps", 1]
    _train(data, tmp_path / "run", *options)
    assert (
        "smaller batches: 9 images instead of 10000000, since there are only 9 "
        "images to train on"
    ) in capsys.readouterr().err.splitlines()


@pytest.mark.usefixtures("eagerly")
def test_words(data, tmp_path, capsys):
    out = tmp_path / "run"
    options = ["--preset", "word_cnn_rnn_small", "--batch-size", 9]
    model = _train(data, out, *options, "--steps", 2)
    assert "smaller batches" not in capsys.readouterr().err
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


@pytest.mark.usefixtures("eagerly")
def test_features_of_images(data, tmp_path, error_of, monkeypatch):
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
    # Elsewhere, and from another folder.
    moved = features.rename(tmp_path / "moved.npz")
    monkeypatch.chdir(tmp_path)
    resumed = ["train-text", "--out", str(out), "--resume", "--steps", "5"]
    assert main([*resumed, "--image-encoder", "moved.npz"]) == 0
    moved.unlink()
    line = error_of("train-text", "--out", out, "--resume", "--steps", 6)
    assert "--image-encoder must be where the run was started" in line
    # Others of the same name.
    np.savez(moved, **{name: np.zeros(5) for name in names})
    line = error_of("train-text", "--out", out, "--resume", "--steps", 6)
    assert "--image-encoder must be as it was" in line


@pytest.mark.large
def test_a_frozen_network_of_keras_applications(few_classes, tmp_path, capsys):
    network = keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    for weight in network.weights:
        if len(weight.shape) == 4:
            # Untrained, next to nothing comes through all its layers.
            weight.assign(6 * weight)
    weights = tmp_path / "mobilenet.weights.h5"
    network.save_weights(weights)
    out = tmp_path / "run"
    options = [*TEXT_OPTIONS, "--image-encoder", "MobileNet"]
    options += ["--image-weights", weights, "--freeze-images", "--steps", 2]
    before = _train(few_classes, out, *options)
    argv = ["train-text", "--out", str(out), "--resume", "--steps", "3"]
    assert main(argv) == 0
    after = keras.saving.load_model(out / "checkpoints/step-00000003.keras")
    assert int(after.optimizer.iterations) == 3
    _, _, own, embedding = after.image_encoder.layers
    for weight, given in zip(own.get_weights(), network.get_weights()):
        np.testing.assert_array_equal(weight, given)
    _, _, _, embedding_before = before.image_encoder.layers
    assert not np.array_equal(embedding.kernel, embedding_before.kernel)
    capsys.readouterr()
    argv = ["--data", str(few_classes), "--text-encoder", str(out)]
    assert main(["evaluate-text", *argv]) == 0
    results = json.loads(capsys.readouterr().out)
    assert (results["num_images"], results["num_classes"]) == (3, 3)
    assert results["recall_at_5"] == 1.0


@pytest.mark.usefixtures("eagerly")
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
    assert "Expected arrays by image: a .npz, " in line
    assert "'small', which has none of these" in line
