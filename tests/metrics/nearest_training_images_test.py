import numpy as np
import pytest

from keras_t2i.metrics import nearest_training_images
from keras_t2i.metrics import row_blocks


def test_by_hand():
    training = np.array([[0.0, 0], [6, 8], [-3, 4]])
    features = np.array([[6.0, 7], [-3, 4], [3.1, 4.1]])
    indices, distances = nearest_training_images(features, training)
    assert indices.tolist() == [1, 2, 1]
    expected = [1, 0, np.hypot(2.9, 3.9)]
    np.testing.assert_allclose(distances, expected)


@pytest.mark.parametrize("values", [1, 70, 10_000])
def test_each_with_each(values, monkeypatch):
    monkeypatch.setattr(row_blocks, "_VALUES_AT_A_TIME", values)
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
