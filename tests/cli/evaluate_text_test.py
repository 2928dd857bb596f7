import json

import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import CharCNNRNN
from keras_t2i import JointEmbedding
from keras_t2i import blooms
from keras_t2i.cli import text_evaluation
from keras_t2i.cli.main import main
from keras_t2i.cli.text_evaluation import evaluate_text
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.text import feature_encoder
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.torch_files import load_reed_text_encoder
from keras_t2i.training.model_files import load_joint_embedding
from tests.cli.conftest import TEXT_OPTIONS
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import write_prepared_set
from tests.formats.t7_writer import LuaTable
from tests.formats.t7_writer import t7_bytes
from tests.formats.t7_writer import tensor
from tests.torch_files.torch_networks import Builder
from tests.torch_files.torch_networks import text_encoder

_NUM_PAIRS = 50


@pytest.fixture
def few_pairs(monkeypatch):
    """Fewer pairs of sentences to interpolate, which take seconds to embed."""
    assert text_evaluation._NUM_PAIRS == 1000
    monkeypatch.setattr(text_evaluation, "_NUM_PAIRS", _NUM_PAIRS)


pytestmark = pytest.mark.usefixtures("loaded_once", "few_pairs")


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
    # Of each class' images, at most six are found, of fifty.
    assert results["precision_at_50"] == pytest.approx(
        6 / 50 / results["num_classes"]
    )
    assert set(results["linear_probe"]) == {
        "petal_color",
        "center_color",
        "petal_count",
        "petal_shape",
    }
    encoder = load_joint_embedding(text_run).text_encoder
    assert results["linear_probe"]["petal_count"] == pytest.approx(
        _count_probe(encoder, data)
    )
    first, second, between = (
        embed_texts(encoder, sentences)
        for sentences in blooms.captions_between("test", _NUM_PAIRS)
    )
    mean = (first + second) / 2
    cosines = np.sum(mean * between, axis=1)
    cosines /= np.linalg.norm(mean, axis=1) * np.linalg.norm(between, axis=1)
    assert results["interpolation"]["between"] == pytest.approx(
        np.mean(cosines), abs=1e-5
    )


COUNTS = ["3 three", "4 four", "5 five", "6 six", "8 eight"]


def _count_probe(encoder, data):
    """How often ridge regression reads the number of petals from captions."""
    parts = []
    for split in ("train", "test"):
        examples = PreparedExamples(data, split)
        texts = [
            text
            for index in range(len(examples))
            for text in examples.read(index).captions
        ]
        words = [set(text.split()) for text in texts]
        # Captions by counts: which of the words each has.
        named = np.array(
            [[bool(w & set(count.split())) for count in COUNTS] for w in words]
        )
        embeddings = embed_texts(encoder, texts).astype("float64")
        rows = named.any(axis=1)
        parts += [embeddings[rows], named[rows].astype("float64")]
    embeddings, targets, test_embeddings, test_targets = parts
    mean, deviation = embeddings.mean(axis=0), embeddings.std(axis=0)
    share = targets.mean(axis=0)
    # The penalty, as an observation of zero for each weight.
    num_rows, dim = embeddings.shape
    scale = num_rows**-0.5
    weights, *_ = np.linalg.lstsq(
        np.concatenate(
            [scale * (embeddings - mean) / deviation, 1e-3**0.5 * np.eye(dim)]
        ),
        np.concatenate(
            [scale * (targets - share), np.zeros((dim, len(COUNTS)))]
        ),
        rcond=None,
    )
    scores = (test_embeddings - mean) / deviation @ weights + share
    return np.mean(scores.argmax(axis=1) == test_targets.argmax(axis=1))


def test_results_of_known_embeddings(tmp_path):
    # Each image has one caption, which finds it at this place.
    ranks = [1, 2, 6, 1, 5, 6]
    scores = [
        np.insert(np.arange(1.0, 6.0), image, 6.5 - rank)
        for image, rank in enumerate(ranks)
    ]
    # Classes by images, from the means of the rows of their captions:
    # [2.5, 2.5, 1.5, 3.0, 4.0, 5.0]
    # [1.0, 2.0, 3.0, 4.5, 3.5, 3.5], so that the first, second and fourth
    # image are closest to their own.
    classes = [0, 0, 0, 1, 1, 1]
    captions = [
        *("a red rose", "seven very tall sunflowers in a field", "xyz"),
        *("white petals and a yellow center", "it is blue", "10 green leaves"),
    ]
    images = [
        example(number, classes[number], (caption,))
        for number, caption in enumerate(captions)
    ]
    write_prepared_set(tmp_path / "data", {"test": [images]}, "xy")
    model = JointEmbedding(
        CharCNNRNN((16, 16, 16), recurrence="gated", embedding_dim=16),
        feature_encoder(16, embedding_dim=16),
    )
    model.image_encoder.get_layer("embedding").set_weights(
        [np.eye(16), np.zeros(16)]
    )
    texts = embed_texts(model.text_encoder, captions)
    embeddings = (np.linalg.pinv(texts.astype("float64")) @ scores).T
    np.testing.assert_allclose(
        texts @ embeddings.astype("float32").T, scores, atol=0.1
    )
    # Of two views, the first is used.
    views = {image.id: [row, -row] for image, row in zip(images, embeddings)}
    np.savez(tmp_path / "features.npz", **views)
    results = evaluate_text(
        model, tmp_path / "data", "test", tmp_path / "features.npz"
    )
    assert results == {
        "split": "test",
        "num_images": 6,
        "num_captions": 6,
        "num_classes": 2,
        "zero_shot_accuracy": pytest.approx(3 / 6),
        "precision_at_50": pytest.approx(3 / 50),
        "recall_at_1": pytest.approx(2 / 6),
        "recall_at_5": pytest.approx(4 / 6),
        "recall_at_10": 1.0,
    }


def test_cosines(tmp_path):
    """Where a model compares by cosines, no length counts."""
    captions = ["a red rose", "tall sunflowers", "white petals", "it is blue"]
    images = [
        example(number, number // 2, (caption,))
        for number, caption in enumerate(captions)
    ]
    write_prepared_set(tmp_path / "data", {"test": [images]}, "xy")
    model = JointEmbedding(
        CharCNNRNN((16, 16, 16), recurrence="gated", embedding_dim=16),
        feature_encoder(16, embedding_dim=16),
        similarity="cosine",
    )
    model.image_encoder.get_layer("embedding").set_weights(
        [np.eye(16), np.zeros(16)]
    )
    texts = embed_texts(model.text_encoder, captions).astype("float64")
    units = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    # Cosines to the captions, and lengths that turn the products around.
    cosines = np.array(
        [
            [0.5, 0.1, 0.3, 0.2],
            [0.2, 0.1, 0.4, 0.3],
            [0.1, 0.2, 0.5, 0.4],
            [0.4, 0.3, 0.1, 0.2],
        ]
    )
    rows = (np.linalg.pinv(units) @ cosines.T).T
    rows *= np.array([[1.0], [100.0], [0.01], [10.0]])
    views = {image.id: row for image, row in zip(images, rows)}
    np.savez(tmp_path / "features.npz", **views)
    results = evaluate_text(
        model, tmp_path / "data", "test", tmp_path / "features.npz"
    )
    # The mean of a class' captions, each of length 1.
    means = np.stack([units[:2].mean(axis=0), units[2:].mean(axis=0)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    right = np.argmax(rows @ means.T, axis=1) == [0, 0, 1, 1]
    assert results["zero_shot_accuracy"] == pytest.approx(right.mean())
    # A caption's own image is the best of those by cosine, which only the
    # lengths of images could change.
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    scores = units @ (rows / length).T
    found = np.mean(scores.argmax(axis=1) == np.arange(4))
    assert results["recall_at_1"] == pytest.approx(found)
    products = texts @ rows.T
    assert found != np.mean(products.argmax(axis=1) == np.arange(4))


def test_zero_shot_accuracy_is_that_of_the_embeddings(data, text_run, capsys):
    results = _evaluate(
        *[capsys, "--data", data, "--text-encoder", text_run],
        *["--split", "train"],
    )
    model = load_joint_embedding(text_run)
    examples = PreparedExamples(data, "train")
    read = [examples.read(index) for index in range(len(examples))]
    class_ids = np.array([record.class_id for record in read])
    # All at once, which is the fastest. Each image has as many captions.
    captions = [text for record in read for text in record.captions]
    texts = model.text_encoder(model.text_encoder.tokenize(captions))
    texts = np.array(texts).reshape(len(read), -1, texts.shape[-1])
    classes = np.unique(class_ids)
    means = np.array([texts[class_ids == c].mean(axis=(0, 1)) for c in classes])
    # Blooms are stored at the size of the model.
    images = np.stack([_decode(record.image) for record in read]) / 127.5 - 1
    scores = np.array(model.image_encoder(images)) @ means.T
    right = np.sum(classes[scores.argmax(axis=1)] == class_ids)
    assert results["zero_shot_accuracy"] == pytest.approx(right / len(read))


def _decode(image):
    return tf.io.decode_png(image).numpy().astype("float32")


@pytest.mark.usefixtures("eagerly")
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
    model = load_joint_embedding(run)
    examples = PreparedExamples(data, "test")
    kernel, bias = model.image_encoder.get_layer("embedding").get_weights()
    images = [arrays[name][0] @ kernel + bias for name in examples.text_ids()]
    found = 0
    for index in range(len(examples)):
        texts = list(examples.read(index).captions)
        scores = embed_texts(model.text_encoder, texts) @ np.transpose(images)
        found += np.sum(scores.argmax(axis=1) == index)
    assert results["recall_at_1"] == pytest.approx(found / 60)
    line = error_of("evaluate-text", *options)
    assert "on features of images needs --image-features. Rec" in line
    np.savez(features, **{name: np.ones(4) for name in arrays})
    line = error_of("evaluate-text", *options, "--image-features", features)
    assert "must hold 5 features of each image, as in training. Re" in line


def test_published_encoder_and_features(tmp_path, capsys, error_of):
    names = ("001.Rose", "002.Tulip")
    images = [
        example(number, number % 2, (text, text + "s"))
        for number, text in enumerate(("rose", "tulip", "red", "tall", "it"))
    ]
    data = tmp_path / "data"
    write_prepared_set(data, {"test": [images]}, names)
    encoder = tmp_path / "lm_sje_tiny.t7"
    network = LuaTable(protos=LuaTable(enc_doc=text_encoder(Builder())))
    encoder.write_bytes(t7_bytes(network))
    folder = tmp_path / "images"
    folder.mkdir()
    # Images by features by views.
    features = np.random.default_rng(0).normal(size=(5, 7, 10)).astype("f4")
    for class_id, name in enumerate(names):
        rows = np.ascontiguousarray(features[class_id::2])
        (folder / f"{name}.t7").write_bytes(t7_bytes(tensor(rows)))
    options = ["--data", data, "--text-encoder", encoder]
    results = _evaluate(capsys, *options, "--image-features", folder)
    # As published: the dot product of the first view and the mean caption.
    texts = [image.captions for image in images]
    embeddings = embed_texts(load_reed_text_encoder(encoder), sum(texts, ()))
    means = embeddings.reshape(5, 2, 7).mean(axis=1)
    means = np.stack([means[::2].mean(axis=0), means[1::2].mean(axis=0)])
    chosen = np.argmax(features[:, :, 0] @ means.T, axis=1)
    right = np.mean(chosen == np.arange(5) % 2)
    assert results["zero_shot_accuracy"] == pytest.approx(right)
    assert 0 < right < 1
    line = error_of("evaluate-text", *options)
    assert "needs --image-features. Received: none." in line


def test_bad_input(data, text_run, gan_run, error_of):
    options = ["--data", data, "--text-encoder"]
    line = error_of("evaluate-text", *options, gan_run)
    assert "must name a run of train-text, which also has an image enc" in line
    line = error_of("evaluate-text", *options, text_run, "--split", "tst")
    assert "Received: 'tst'" in line
    line = error_of(
        *["evaluate-text", *options, text_run, "--image-features", "x.npz"]
    )
    assert "one that was trained on images. Leave it out." in line
