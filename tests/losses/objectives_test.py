import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.losses.objectives import LabelObjective
from keras_t2i.losses.objectives import RelativisticObjective
from keras_t2i.losses.objectives import mean_scores

REAL = tf.constant([[1.0], [2.0], [-1.0], [0.5]])
MISMATCHED = tf.constant([[0.0], [3.0], [-2.0], [0.5]])
GENERATED = tf.constant([[0.0], [0.0], [0.0], [0.0]])


def _softplus(logits):
    return float(np.mean(np.log1p(np.exp(np.array(logits, "float64")))))


def test_labels_by_hand():
    objective = LabelObjective()
    loss = objective.discriminator_loss(REAL, GENERATED, MISMATCHED, 0.25)
    expected = _softplus(-REAL) + 0.75 * _softplus(GENERATED)
    expected += 0.25 * _softplus(MISMATCHED)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    loss = objective.discriminator_loss(REAL, GENERATED)
    expected = _softplus(-REAL) + _softplus(GENERATED)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    loss = objective.generator_loss(MISMATCHED, REAL)
    assert float(loss) == pytest.approx(_softplus(-MISMATCHED), rel=1e-5)


def test_relativistic_by_hand():
    objective = RelativisticObjective()
    loss = objective.discriminator_loss(REAL, GENERATED, MISMATCHED, 0.25)
    expected = _softplus(GENERATED - REAL)
    expected += 0.5 * _softplus(MISMATCHED - REAL)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    loss = objective.discriminator_loss(REAL, GENERATED)
    assert float(loss) == pytest.approx(_softplus(GENERATED - REAL), rel=1e-5)
    # Fewer generated pairs stand beside the first real ones.
    loss = objective.generator_loss(GENERATED[:3], REAL)
    expected = _softplus(REAL[:3] - GENERATED[:3])
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_what_is_right():
    scores = {"real": REAL, "mismatched": MISMATCHED, "generated": GENERATED}
    right = {
        name: np.array(rows)[:, 0].tolist()
        for name, rows in LabelObjective().right(scores).items()
    }
    assert right == {
        "real": [True, True, False, True],
        "mismatched": [True, False, True, False],
        "generated": [True, True, True, True],
    }
    right = {
        name: np.array(rows)[:, 0].tolist()
        for name, rows in RelativisticObjective().right(scores).items()
    }
    assert right == {
        "real": [True, False, False, False],
        "mismatched": [True, False, True, False],
        "generated": [True, True, False, True],
    }


def test_several_discriminators_are_added_up():
    scores = mean_scores({"real": [REAL, tf.constant([[2.0, 4.0]] * 4)]})
    np.testing.assert_allclose(scores["real"], REAL + 3.0)
