import math

import numpy as np
import pytest

from keras_t2i.datasets import blooms
from keras_t2i.datasets.blooms.petals import half_width
from keras_t2i.datasets.blooms.petals import nearest_petal


def test_widths_by_hand():
    along = np.array([0.2, 0.42, 0.6, 1.0])
    # A circle squeezed to 0.6 tan(22.5 degrees) across, 0.4 along.
    round_petal = half_width(along, 8, "round")
    side = 0.6 * math.tan(math.pi / 8)
    expected = [0, side * math.sqrt(1 - 0.45**2), side, 0]
    np.testing.assert_allclose(round_petal, expected, atol=1e-6)
    # Widest, and 0.32 at most, at 0.42; half of that at half the way there.
    pointed = half_width(np.array([0.21, 0.42, 1.0]), 3, "pointed")
    np.testing.assert_allclose(pointed, [0.16, 0.32, 0], atol=2e-3)
    # Straight sides, widening a little, whatever the count.
    narrow = half_width(along, 5, "narrow")
    np.testing.assert_allclose(narrow, [0.124, 0.1394, 0.152, 0], atol=1e-12)


@pytest.mark.parametrize("count", blooms.PETAL_COUNTS)
@pytest.mark.parametrize("shape", blooms.PETAL_SHAPES)
def test_petals_end_at_the_tip_and_leave_room_for_the_next(count, shape):
    beyond = half_width(np.linspace(1.001, 3, 50), count, shape)
    np.testing.assert_allclose(beyond, 0, atol=1e-12)
    outer = np.linspace(0.7, 1, 50)
    room = outer * math.tan(math.pi / count)
    assert np.all(half_width(outer, count, shape) < room)


def test_each_direction_has_its_petal():
    degrees = np.array([0, 44, 46, 90, -100, 179, -179])
    number, turn = nearest_petal(np.radians(degrees), 4)
    assert number.tolist() == [0, 0, 1, 1, 3, 2, 2]
    expected = [0, 44, -44, 0, -10, -1, 1]
    np.testing.assert_allclose(np.degrees(turn), expected, atol=1e-9)
