import itertools

import numpy as np
import pytest

from keras_t2i.metrics import diversity


def test_it_is_the_mean_over_all_pairs():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 3), "uint8")
    squares = [
        np.mean((first / 255 - second / 255) ** 2)
        for first, second in itertools.combinations(images, 2)
    ]
    assert diversity(images) == pytest.approx(np.sqrt(np.mean(squares)))


def test_equal_images_have_none():
    assert diversity(np.full((3, 2, 2, 3), 200, "uint8")) == 0


def test_by_hand():
    # Two images, 51 levels apart: a fifth.
    images = np.stack([np.full((2, 2, 3), value) for value in (100, 151)])
    assert diversity(images) == pytest.approx(0.2)


@pytest.mark.parametrize("num_images", [0, 1])
def test_one_image_has_no_diversity(num_images):
    with pytest.raises(ValueError, match=r"at least two.*Received: shape"):
        diversity(np.zeros((num_images, 2, 2, 3), "uint8"))
