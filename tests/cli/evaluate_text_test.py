import json
import re

import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.cli.main import main
from keras_t2i.cli.model_files import load_joint_embedding
from keras_t2i.datasets.examples import PreparedExamples
from tests.cli.conftest import TEXT_OPTIONS


def _evaluate(capsys, *argv):
    capsys.readouterr()
    assert main(["evaluate-text", *map(str, argv)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_results_of_a_run(data, text_run, capsys):
    results = _evaluate(capsys, "--data", data, "--text-encoder", text_run)
    examples = PreparedExamples(data, "test")
    assert results["split"] == "test"
    assert (results["num_images"], results["num_captions"]) == (6, 60)
    assert results["num_classes"] == len(set(examples.class_ids))
    assert 0 <= results["zero_shot_accuracy"] <= 1
    # Of each class' images, at most six are found, of fifty.
    assert results["precision_at_50"] == pytest.approx(
        6 / 50 / results["num_classes"]
    )
    recalls = [results[f"recall_at_{k}"] for k in (1, 5, 10)]
    assert sorted(recalls) == recalls
    assert recalls[-1] == 1.0
    assert set(results["linear_probe"]) == {
        "petal_color",
        "center_color",
        "petal_count",
        "petal_shape",
    }
    assert all(0 <= value <= 1 for value in results["linear_probe"].values())
    assert -1 <= results["interpolation"]["between"] <= 1


def test_zero_shot_accuracy_is_that_of_the_embeddings(data, text_run, capsys):
    results = _evaluate(
        *[capsys, "--data", data, "--text-encoder", text_run],
        *["--split", "train"],
    )
    model = load_joint_embedding(text_run)
    examples = PreparedExamples(data, "train")
    read = [examples.read(index) for index in range(len(examples))]
    texts = {}
    for record in read:
        ids = model.text_encoder.tokenize(list(record.captions))
        texts.setdefault(record.class_id, []).append(model.text_encoder(ids))
    classes = sorted(texts)
    means = np.array([np.concatenate(texts[c]).mean(axis=0) for c in classes])
    right = 0
    for record in read:
        # Blooms are stored at the size of the model.
        image = _decode(record.image)[None] / 127.5 - 1
        scores = model.image_encoder(image) @ means.T
        right += classes[int(np.argmax(scores))] == record.class_id
    assert results["zero_shot_accuracy"] == pytest.approx(right / len(read))


def _decode(image):
    return tf.io.decode_png(image).numpy().astype("float32")


def test_features(data, tmp_path, capsys, error_of):
    features = tmp_path / "features.npz"
    generator = np.random.default_rng(0)
    arrays = {}
    for split in ("train", "val", "test"):
        for name in PreparedExamples(data, split).text_ids():
            arrays[name] = generator.normal(size=(2, 5))
    np.savez(features, **arrays)
    run = tmp_path / "run"
    argv = ["--data", str(data), "--image-encoder", str(features)]
    argv = ["train-text", "--out", str(run), *TEXT_OPTIONS, *argv]
    assert main([*argv, "--steps", "2"]) == 0
    options = ["--data", data, "--text-encoder", run]
    results = _evaluate(capsys, *options, "--image-features", features)
    assert results["recall_at_10"] == 1.0
    line = error_of("evaluate-text", *options)
    assert re.search("--image-features is .*trained with features", line)
    np.savez(features, **{name: np.ones(4) for name in arrays})
    line = error_of("evaluate-text", *options, "--image-features", features)
    assert "must hold 5 features of each image, as in training. Re" in line


def test_bad_input(data, text_run, gan_run, error_of):
    options = ["--data", data, "--text-encoder"]
    line = error_of("evaluate-text", *options, gan_run)
    assert "must name a run of train-text, which has an image enc" in line
    line = error_of("evaluate-text", *options, text_run, "--split", "tst")
    assert "Received: 'tst'" in line
    line = error_of(
        *["evaluate-text", *options, text_run, "--image-features", "x.npz"]
    )
    assert "trained with images" in line
