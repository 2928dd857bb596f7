import numpy as np
import pytest

from keras_t2i.metrics import feature_sets
from keras_t2i.metrics import nearest_training_images
from keras_t2i.metrics import nearest_training_ratio

TRAINING = np.array([[0.0], [10.0], [20.0]])


def test_by_hand():
    training = np.array([[0.0, 0], [6, 8], [-3, 4]])
    features = np.array([[6.0, 7], [-3, 4], [3.1, 4.1]])
    indices, distances = nearest_training_images(features, training)
    assert indices.tolist() == [1, 2, 1]
    expected = [1, 0, np.hypot(2.9, 3.9)]
    np.testing.assert_allclose(distances, expected)


@pytest.mark.parametrize("values", [1, 70, 10_000])
def test_each_with_each(values, monkeypatch):
    monkeypatch.setattr(feature_sets, "_VALUES_AT_A_TIME", values)
    generator = np.random.default_rng(0)
    features = generator.normal(size=(17, 5))
    training = generator.normal(size=(30, 5))
    all_distances = np.linalg.norm(features[:, None] - training, axis=2)
    indices, distances = nearest_training_images(features, training)
    np.testing.assert_array_equal(indices, all_distances.argmin(axis=1))
    np.testing.assert_allclose(distances, all_distances.min(axis=1))


def test_a_copy_has_no_distance():
    # In numbers whose squares round.
    training = 100 + np.random.default_rng(0).normal(size=(60, 50))
    order = np.random.default_rng(1).permutation(60)
    indices, distances = nearest_training_images(training[order], training)
    np.testing.assert_array_equal(indices, order)
    assert distances.tolist() == [0] * 60


@pytest.mark.parametrize(
    ("features", "training", "message"),
    [
        (np.ones((3, 2)), np.ones((0, 2)), r"`training_f.*shape \(0, 2\)"),
        (np.ones(3), np.ones((3, 2)), r"`features`.*shape \(3,\)"),
        (np.ones((3, 2)), np.ones((3, 4)), "'training_features': 4"),
        (np.ones((3, 2)), np.full((3, 2), np.inf), "`training_f.*3 of 3 rows"),
    ],
)
def test_what_does_not_fit(features, training, message):
    with pytest.raises(ValueError, match=message):
        nearest_training_images(features, training)


def test_medians_by_hand():
    # Distances of 1, 2 and 5 of the generated images, and of 3, 4, 4 and 980
    # of the real ones.
    generated = [[1.0], [12.0], [15.0]]
    real = [[-3.0], [14.0], [6.0], [1000.0]]
    ratio = nearest_training_ratio(generated, real, TRAINING)
    assert ratio == pytest.approx(2 / 4)


def test_copies():
    real = TRAINING + 3
    assert nearest_training_ratio(TRAINING, real, TRAINING) == 0
    assert nearest_training_ratio(TRAINING + 0.3, real, TRAINING) < 0.11


def test_images_of_the_real_distribution():
    generator = np.random.default_rng(0)
    generated, real, training = generator.normal(size=(3, 500, 10))
    ratio = nearest_training_ratio(generated, real, training)
    assert ratio == pytest.approx(1, abs=0.05)


def test_real_images_that_were_trained_on():
    real = [[0.0], [20.0], [13.0]]
    message = "not trained on. Received: 2 of 3 images"
    with pytest.raises(ValueError, match=message):
        nearest_training_ratio(TRAINING + 1, real, TRAINING)


@pytest.mark.parametrize("place", [0, 1])
def test_shapes(place):
    arguments = [TRAINING + 1, TRAINING + 2, TRAINING]
    arguments[place] = np.ones((3, 2))
    with pytest.raises(ValueError, match="Received:.*'training_features': 1"):
        nearest_training_ratio(*arguments)
