import itertools
import math

import numpy as np
import pytest

from keras_t2i.datasets import blooms
from keras_t2i.datasets.blooms.outlines import best_outline
from keras_t2i.datasets.blooms.outlines import sample_polar
from keras_t2i.datasets.blooms.petals import half_width
from keras_t2i.datasets.blooms.petals import nearest_petal


def test_polar_samples_of_a_ramp_by_hand():
    # The value of a pixel is the x of its center.
    ramp = np.tile(np.arange(40) + 0.5, (40, 1))
    samples = sample_polar(ramp, [(20.0, 20.0, 10.0)])
    assert samples.shape == (1, 18, 120)
    # To the right, below and to the left, from 0.38 to 1.3 of the radius.
    np.testing.assert_allclose(samples[0, [0, -1], 0], [23.8, 33], atol=1e-4)
    np.testing.assert_allclose(samples[0, :, 30], 20, atol=1e-4)
    np.testing.assert_allclose(samples[0, [0, -1], 60], [16.2, 7], atol=1e-4)


def test_beyond_the_picture_the_border_goes_on():
    ramp = np.tile(np.arange(40) + 0.5, (40, 1))
    samples = sample_polar(ramp, [(38.0, 2.0, 20.0)])
    assert samples.min() >= 0.5 and samples.max() <= 39.5


@pytest.mark.parametrize(
    ("count", "shape"),
    itertools.product(blooms.PETAL_COUNTS, blooms.PETAL_SHAPES),
)
def test_finds_kind_place_and_size_of_a_silhouette(count, shape):
    y, x = np.indices((64, 64)) + 0.5
    x, y = (x - 33) / 20, (y - 30) / 20
    distance = np.hypot(x, y)
    _, turn = nearest_petal(np.arctan2(y, x) - 0.4, count)
    across = np.abs(distance * np.sin(turn))
    along = distance * np.cos(turn)
    silhouette = (across < half_width(along, count, shape)).astype(float)

    outline = best_outline(silhouette, 32.4, 30.4, 21.5)

    assert (outline.petal_count, outline.petal_shape) == (count, shape)
    assert math.dist((outline.x, outline.y), (33, 30)) < 1.2
    # The silhouette's petals are full length, a bloom's 0.965 on average.
    assert outline.radius == pytest.approx(20 / 0.965, rel=0.06)
    # The first petal points to 0.4 radians, step 7.6 of 120.
    assert outline.petals[3, 7] and outline.petals[3, 8]
