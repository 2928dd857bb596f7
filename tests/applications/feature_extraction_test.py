import errno
import io
import os
import pathlib
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from keras_t2i.applications.feature_extraction import center_view
from keras_t2i.applications.feature_extraction import extract_image_features
from keras_t2i.applications.feature_extraction import features_of_images
from keras_t2i.applications.feature_extraction import four_views
from keras_t2i.datasets.examples import ImageFeatures
from keras_t2i.datasets.examples import PreparedExamples
from tests.cli.conftest import contents
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import noise_image
from tests.datasets.prepared_sets import write_prepared_set


def _network(seed=0):
    """From images to a feature map of a quarter of their side."""
    images = keras.Input((None, None, 3))
    initializer = keras.initializers.GlorotUniform(seed=seed)
    x = keras.layers.Conv2D(5, 4, strides=4, kernel_initializer=initializer)(
        images
    )
    return keras.Model(images, x, name="tiny")


@pytest.fixture
def data(tmp_path):
    """Five images of 10 x 12 pixels, in two shards and two splits."""
    splits = {
        "train": [[example(0), example(1)], [example(2)]],
        "test": [[example(3), example(4)]],
    }
    write_prepared_set(tmp_path / "data", splits)
    return tmp_path / "data"


def _expected(network, pixels, size=8):
    """The features of one view, of bytes."""
    view = Image.fromarray(pixels).resize((size, size), Image.BICUBIC)
    image = np.asarray(view, "float32") / 127.5 - 1
    return np.array(network(image[None])).mean(axis=(1, 2))[0]


def _views_by_hand(number):
    pixels = noise_image(number)
    center, corner = pixels[:, 1:11], pixels[:9, :9]
    return [center, corner, center[:, ::-1], corner[:, ::-1]]


def test_views():
    pixels = noise_image(7)
    image = Image.fromarray(pixels)
    (center,) = center_view(image)
    np.testing.assert_array_equal(center, pixels[:, 1:11])
    # 7/8 of 10 pixels.
    for view, expected in zip(four_views(image), _views_by_hand(7)):
        np.testing.assert_array_equal(view, expected)
    upright = Image.fromarray(pixels.transpose(1, 0, 2))
    (center,) = center_view(upright)
    np.testing.assert_array_equal(center, pixels.transpose(1, 0, 2)[1:11])


@pytest.mark.parametrize("num_views", [1, 4])
def test_values(data, num_views):
    network = _network()
    path = extract_image_features(network, data, 8, num_views)
    for split in ("train", "test"):
        ids = PreparedExamples(data, split).text_ids()
        features = ImageFeatures(path, data, split)
        assert features.num_features == 5
        for index, id in enumerate(ids):
            views = _views_by_hand(int(id[-3:]))[:num_views]
            expected = [_expected(network, view) for view in views]
            np.testing.assert_allclose(
                features.first_views()[index], expected[0], atol=1e-5
            )
            generator = np.random.default_rng(0)
            sampled = [features.sample(index, generator) for _ in range(60)]
            found = {
                int(np.argmin(np.abs(np.array(expected) - view).sum(axis=1)))
                for view in sampled
            }
            assert found == set(range(num_views))


def test_many_images_at_a_time(tmp_path):
    images = [example(number) for number in range(19)]
    write_prepared_set(tmp_path, {"train": [images]})
    network = _network()
    path = extract_image_features(network, tmp_path, 8, 4)
    features = ImageFeatures(path, tmp_path, "train").first_views()
    for number in (0, 7, 8, 18):
        expected = _expected(network, _views_by_hand(number)[0])
        np.testing.assert_allclose(features[number], expected, atol=1e-5)


def test_progress(data):
    seen = []
    extract_image_features(
        _network(), data, 8, progress=lambda *numbers: seen.append(numbers)
    )
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_they_are_computed_once(data):
    seen = []

    def progress(done, total):
        seen.append(done)

    path = extract_image_features(_network(), data, 8, 4, progress)
    before = contents(data)
    assert extract_image_features(_network(), data, 8, 4, progress) == path
    assert len(seen) == 5
    assert contents(data) == before
    # Other weights, another size or other views are kept beside them.
    others = [
        extract_image_features(_network(seed=1), data, 8, 4),
        extract_image_features(_network(), data, 12, 4),
        extract_image_features(_network(), data, 8, 1),
    ]
    assert len({path, *others}) == 4
    assert all(
        other.parent == data and other.name.startswith("features-tiny-")
        for other in others
    )


def test_vectors_of_the_same_weights_have_their_own(data):
    network = _network()
    mean = keras.layers.GlobalAveragePooling2D()(network.output)
    vector = keras.Model(network.input, mean, name="tiny")
    path = extract_image_features(vector, data, 8)
    assert path != extract_image_features(network, data, 8)
    twice = keras.layers.Concatenate()([mean, mean])
    twice = keras.Model(network.input, twice, name="tiny")
    other = extract_image_features(twice, data, 8)
    assert path != other
    assert ImageFeatures(path, data, "train").num_features == 5
    assert ImageFeatures(other, data, "train").num_features == 10


def test_another_data_set_has_others(data, tmp_path):
    path = extract_image_features(_network(), data, 8)
    other = tmp_path / "other"
    write_prepared_set(other, {"train": [[example(9)]]})
    assert extract_image_features(_network(), other, 8).name != path.name
    with pytest.raises(ValueError, match="Received: those of another data"):
        ImageFeatures(path, other, "train")


def test_what_was_interrupted_is_redone(data):
    class Interrupted(Exception):
        pass

    def interrupt(done, total):
        if done == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        extract_image_features(_network(), data, 8, 4, interrupt)
    (folder,) = data.glob("features-*")
    # Whole shards at the most, and nothing that says they were all.
    assert sorted(os.listdir(folder)) == [
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfrecord",
    ]
    with pytest.raises(ValueError):
        ImageFeatures(folder, data, "train")
    # A kill leaves more behind.
    (folder / ".tmp-test-00000-of-00001.tfrecord").write_bytes(b"abc")
    (folder / "train-00001-of-00002.tfrecord").write_bytes(b"abc")
    path = extract_image_features(_network(), data, 8, 4)
    assert path == folder
    again = shutil.copytree(path, data.parent / "again")
    shutil.rmtree(path)
    assert contents(extract_image_features(_network(), data, 8, 4)) == contents(
        again
    )


def test_what_was_damaged_is_named(data):
    path = extract_image_features(_network(), data, 8)
    shard = next(path.glob("*.tfrecord"))
    content = shard.read_bytes()
    shard.unlink()
    with pytest.raises(ValueError, match="Received: .*Make the folder again"):
        extract_image_features(_network(), data, 8)
    shard.write_bytes(content)
    assert extract_image_features(_network(), data, 8) == path


def test_a_network_that_fails(data):
    network = _network()
    network.weights[0].assign(np.full(network.weights[0].shape, np.nan))
    with pytest.raises(ValueError, match="finite .*infinity from 'tiny'"):
        extract_image_features(network, data, 8)
    (folder,) = data.glob("features-*")
    assert os.listdir(folder) == []


@pytest.mark.parametrize("num_views", [0, 3, None])
def test_other_numbers_of_views(data, num_views):
    with pytest.raises(ValueError, match=rf"\[1, 4\]. Received: {num_views}"):
        extract_image_features(_network(), data, 8, num_views)
    assert list(data.glob("features-*")) == []


def test_no_data_set(tmp_path):
    with pytest.raises(ValueError, match="keras-t2i prepare"):
        extract_image_features(_network(), tmp_path, 8)


def test_features_of_images():
    network = _network()
    pixels = np.stack([noise_image(n, 8, 8) for n in range(3)])
    features = features_of_images(network, pixels)
    assert features.shape == (3, 5)
    for row, image in zip(features, pixels):
        np.testing.assert_allclose(row, _expected(network, image), atol=1e-5)


def test_images_of_other_kinds(tmp_path):
    file = io.BytesIO()
    Image.fromarray(noise_image(0)).save(file, "JPEG")
    image = example(0)
    image = type(image)(image.id, file.getvalue(), image.captions)
    write_prepared_set(tmp_path, {"train": [[image, example(1)]]})
    path = extract_image_features(_network(), tmp_path, 8)
    assert ImageFeatures(path, tmp_path, "train").first_views().shape == (2, 5)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_data_set_that_nobody_may_write_to(data, monkeypatch, code):
    def mkdir(path, *_, **__):
        raise OSError(code, os.strerror(code), str(path))

    # The owner of this process may write to all folders, if it is root.
    monkeypatch.setattr(pathlib.Path, "mkdir", mkdir)
    expected = f"must be writable. Received: '{data}'.*or copy the data set"
    with pytest.raises(ValueError, match=expected):
        extract_image_features(_network(), data, image_size=8)
