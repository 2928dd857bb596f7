import numpy as np
import pytest

from keras_t2i.metrics import distances
from keras_t2i.metrics.distances import squared_distance_blocks


def _squared(features, others):
    return np.sum((features[:, None] - others[None]) ** 2, axis=2)


@pytest.mark.parametrize("values", [1, 20, 100, 10_000])
def test_blocks(values, monkeypatch):
    monkeypatch.setattr(distances, "_VALUES_AT_A_TIME", values)
    generator = np.random.default_rng(0)
    features, others = generator.normal(size=(2, 13, 3))
    others = others[:9]
    parts = list(squared_distance_blocks(features, others))
    # At least a row, and else no more than so many values.
    assert all(d.shape[0] == 1 or d.size <= values for _, d in parts)
    assert len(parts) == {1: 13, 20: 7, 100: 2, 10_000: 1}[values]
    places = np.concatenate([np.arange(13)[rows] for rows, _ in parts])
    np.testing.assert_array_equal(places, np.arange(13))
    found = np.concatenate([distances for _, distances in parts])
    np.testing.assert_allclose(found, _squared(features, others))


def test_rounding_makes_no_negative_distances():
    features = 1000 + np.random.default_rng(0).normal(size=(50, 40))
    for _, block in squared_distance_blocks(features, features):
        assert block.min() >= 0
