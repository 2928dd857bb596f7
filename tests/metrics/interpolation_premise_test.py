import numpy as np
import pytest

from keras_t2i.metrics import interpolation_premise

A = np.array([[2.0, 0.0], [0.0, 2.0]])
B = np.array([[2.0, 2.0], [-2.0, 2.0]])


def test_by_hand():
    # Means [2, 1] and [-1, 2].
    between = np.array([[4.0, 2.0], [2.0, -4.0]])
    cosines = interpolation_premise(A, B, between)
    assert cosines["between"] == pytest.approx((1 - 1) / 2)
    # The first mean against the second sentence, and the other way round: both
    # are at right angles.
    assert cosines["random"] == pytest.approx(0, abs=1e-12)


def test_the_mean_itself_is_as_near_as_can_be():
    cosines = interpolation_premise(A, B, (A + B) / 2)
    assert cosines["between"] == pytest.approx(1)
    assert cosines["centered_between"] == pytest.approx(1)
    assert cosines["random"] < 0.5


def test_what_all_have_in_common_is_taken_away():
    between = (A + B) / 2
    far = np.array([100.0, 100.0])
    cosines = interpolation_premise(A + far, B + far, between + far)
    assert cosines["random"] > 0.99
    near = interpolation_premise(A, B, between)
    assert cosines["centered_random"] == pytest.approx(near["centered_random"])


def test_one_pair_has_no_other():
    with pytest.raises(ValueError, match="at least two .*Received: 1"):
        interpolation_premise(A[:1], B[:1], A[:1])
