import dataclasses

import numpy as np
import pytest

from keras_t2i.datasets.examples import ImageFeatures
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.manifest import write_manifest
from keras_t2i.datasets.shards import write_embeddings
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import write_prepared_set
from tests.formats.t7_writer import t7_bytes
from tests.formats.t7_writer import tensor

CLASSES = ("001.Rose", "002.Tulip")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images 0, 2 and 4 of the first class, 1 and 3 of the second."""
    folder = tmp_path_factory.mktemp("images") / "data"
    splits = {
        "test": [[example(2, 0), example(0, 0), example(1, 1)]],
        "train": [[example(3, 1)], [example(4, 0)]],
    }
    write_prepared_set(folder, splits, CLASSES)
    return folder


def test_features_in_the_order_of_the_images(tmp_path, data):
    path = tmp_path / "a.npz"
    views = {
        "image-000": np.array([1.0, 2.0]),
        "image-001": np.array([7.0, 8.0]),
        "image-002": np.array([[3.0, 4], [5, 6]]),
    }
    np.savez(path, **views)
    features = ImageFeatures(path, data, "test")
    assert features.num_features == 2
    np.testing.assert_array_equal(
        features.first_views(), [[3, 4], [1, 2], [7, 8]]
    )
    generator = np.random.default_rng(0)
    sampled = {tuple(features.sample(0, generator)) for _ in range(20)}
    assert sampled == {(3.0, 4.0), (5.0, 6.0)}
    np.testing.assert_array_equal(features.sample(1, generator), [1, 2])


def test_published_features_of_classes(tmp_path, data):
    # Images by features by views; classes may be named a little differently.
    roses = np.arange(12.0, dtype="f4").reshape(3, 2, 2)
    tulips = 100 + np.arange(8.0, dtype="f4").reshape(2, 2, 2)
    for name, rows in (("001.Roses", roses), ("002.Tulip", tulips)):
        (tmp_path / f"{name}.t7").write_bytes(t7_bytes(tensor(rows)))
    features = ImageFeatures(tmp_path, data, "test")
    assert features.num_features == 2
    np.testing.assert_array_equal(
        features.first_views(), [[4, 6], [0, 2], [100, 102]]
    )
    generator = np.random.default_rng(0)
    sampled = {tuple(features.sample(0, generator)) for _ in range(20)}
    assert sampled == {(4.0, 6.0), (5.0, 7.0)}


def test_features_that_do_not_fit(tmp_path, data):
    path = tmp_path / "a.npz"
    ids = ["image-000", "image-001", "image-002"]
    np.savez(path, **{id: np.ones(2 + (id == ids[1])) for id in ids})
    with pytest.raises(
        ValueError, match="number of .* 2 and, of 'image-001', 3"
    ):
        ImageFeatures(path, data, "test")
    np.savez(path, **{id: np.ones(2) for id in ids[:2]})
    with pytest.raises(ValueError, match="without 1 of them: 'image-002'"):
        ImageFeatures(path, data, "test")


def _write_extracted(folder, data, rows_of, splits=("train", "test")):
    """Writes a folder of features as `extract_image_features` does."""
    write_embeddings(data, folder, rows_of, lambda: "anything")
    manifest = read_embedding_manifest(folder)
    written = {name: manifest.splits[name] for name in splits}
    write_manifest(folder, dataclasses.replace(manifest, splits=written))


def _rows(examples):
    for image in examples:
        number = int(image.id[-3:])
        yield np.array([[number, 10], [number, 20]], "float32")


def test_extracted_features(tmp_path, data):
    _write_extracted(tmp_path / "features", data, _rows)
    features = ImageFeatures(tmp_path / "features", data, "test")
    assert features.num_features == 2
    np.testing.assert_array_equal(
        features.first_views(), [[2, 10], [0, 10], [1, 10]]
    )
    generator = np.random.default_rng(0)
    sampled = {tuple(features.sample(2, generator)) for _ in range(20)}
    assert sampled == {(1.0, 10.0), (1.0, 20.0)}
    features = ImageFeatures(tmp_path / "features", data, "train")
    np.testing.assert_array_equal(features.first_views(), [[3, 10], [4, 10]])


def test_features_that_were_interrupted(tmp_path, data):
    _write_extracted(tmp_path / "features", data, _rows)
    (tmp_path / "features" / "manifest.json").unlink()
    with pytest.raises(
        ValueError,
        match="features', which holds shards without a manifest.json, as if it",
    ):
        ImageFeatures(tmp_path / "features", data, "test")


def test_extracted_features_that_do_not_fit(tmp_path, data):
    _write_extracted(tmp_path / "features", data, _rows, splits=["train"])
    with pytest.raises(ValueError, match="Received: none of .'test'"):
        ImageFeatures(tmp_path / "features", data, "test")
    (shard, _) = sorted((tmp_path / "features").glob("train-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{shard} must have the SHA-256"):
        ImageFeatures(tmp_path / "features", data, "train")
    other = tmp_path / "other"
    write_prepared_set(other, {"train": [[example(3), example(4)]]})
    _write_extracted(tmp_path / "b", data, _rows)
    with pytest.raises(ValueError, match="Received: those of another data"):
        ImageFeatures(tmp_path / "b", other, "train")
