import numpy as np
import pytest

from keras_t2i.plots import training_curves


def test_curves_hold_the_values_of_the_lines():
    lines = [
        {"step": 10, "seconds": 3.0, "real_accuracy": 0.5, "loss": 2.0},
        {"step": 20, "seconds": 6.0, "real_accuracy": 0.75, "loss": 1.0},
    ]
    losses, accuracies = training_curves(lines).axes
    (line,) = losses.get_lines()
    np.testing.assert_array_equal(line.get_xydata(), [[10, 2], [20, 1]])
    assert line.get_label() == "loss"
    (line,) = accuracies.get_lines()
    np.testing.assert_array_equal(line.get_xydata(), [[10, 0.5], [20, 0.75]])
    assert line.get_label() == "real"


def test_no_lines():
    with pytest.raises(ValueError, match="Received: none"):
        training_curves([])


def test_only_what_there_is_is_drawn():
    lines = [
        {"step": 10, "seconds": 3.0, "loss": 0.75, "r_squared": 0.25},
        {"step": 20, "seconds": 6.0, "loss": 0.5, "r_squared": 0.5},
    ]
    figure = training_curves(lines)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "r_squared"]
    (line,) = figure.axes[1].get_lines()
    np.testing.assert_array_equal(line.get_xydata(), [[10, 0.25], [20, 0.5]])


def test_no_metrics():
    with pytest.raises(ValueError, match=r"Received: \['seconds', 'step'\]"):
        training_curves([{"step": 10, "seconds": 3.0}])


def test_lines_that_lack_a_metric():
    lines = [
        {"step": 10, "loss": 0.75, "val_loss": 2.0},
        {"step": 20, "loss": 0.5, "mismatch_weight": 0.25},
        {"step": 30, "loss": 0.25, "val_loss": 1.0},
    ]
    losses, weights = training_curves(lines).axes
    loss, val_loss = losses.get_lines()
    assert len(loss.get_xydata()) == 3
    # Joined, though the line between lacks it.
    np.testing.assert_array_equal(val_loss.get_xydata(), [[10, 2.0], [30, 1.0]])
    (line,) = weights.get_lines()
    np.testing.assert_array_equal(line.get_xydata(), [[20, 0.25]])
    # What has one value alone is seen, too.
    assert line.get_marker() == "." and loss.get_marker() == "None"


def test_no_step():
    with pytest.raises(ValueError, match="hold a `step`.*Received: {'loss'"):
        training_curves([{"step": 10, "loss": 1.0}, {"loss": 1.0}])
