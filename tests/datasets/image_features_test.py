import numpy as np
import pytest

from keras_t2i.datasets.image_features import ImageFeatures


def test_features_in_the_order_of_the_images(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, b=np.array([1.0, 2.0]), a=np.array([[3.0, 4], [5, 6]]))
    features = ImageFeatures(path, ["a", "b"])
    assert features.num_features == 2
    np.testing.assert_array_equal(features.first_views(), [[3, 4], [1, 2]])
    generator = np.random.default_rng(0)
    drawn = {tuple(features.draw(0, generator)) for _ in range(20)}
    assert drawn == {(3.0, 4.0), (5.0, 6.0)}
    np.testing.assert_array_equal(features.draw(1, generator), [1, 2])


def test_features_that_do_not_fit(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.ones(2), b=np.ones(3))
    with pytest.raises(ValueError, match="as many .* 2 and, of 'b', 3"):
        ImageFeatures(path, ["a", "b"])
    with pytest.raises(ValueError, match="without 1 of them: 'c'"):
        ImageFeatures(path, ["a", "c"])
