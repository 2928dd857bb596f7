import numpy as np
import pytest

from keras_t2i.metrics import linear_probe_accuracy


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
