import numpy as np
import pytest

from keras_t2i.metrics import interpolation_premise
from keras_t2i.metrics import linear_probe_accuracy

A = np.array([[2.0, 0.0], [0.0, 2.0]])
B = np.array([[2.0, 2.0], [-2.0, 2.0]])


def test_what_is_linear_is_read():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(400, 5)) * [1, 10, 100, 0.1, 0] + 7
    labels = np.where(rows[:, 1] > 7, "right", "left")
    accuracy = linear_probe_accuracy(
        rows[:300], labels[:300], rows[300:], labels[300:]
    )
    assert accuracy > 0.93


def test_against_the_normal_equations():
    # One standardized feature and two labels: the sign of the feature decides.
    rows = np.array([[-3.0], [-1.0], [1.0], [3.0]])
    test = np.array([[-0.5], [0.5], [0.1]])
    accuracy = linear_probe_accuracy(rows, [0, 0, 1, 1], test, [0, 1, 0])
    assert accuracy == pytest.approx(2 / 3)


def test_what_is_not_there_is_not_read():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(2000, 3))
    labels = generator.integers(4, size=2000)
    accuracy = linear_probe_accuracy(
        rows[:1000], labels[:1000], rows[1000:], labels[1000:]
    )
    assert accuracy == pytest.approx(0.25, abs=0.06)


def test_labels_that_were_never_seen_are_wrong():
    rows = np.array([[0.0], [1.0]])
    assert linear_probe_accuracy(rows, ["a", "b"], rows, ["a", "c"]) == 0.5


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
