import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.losses import SoftmaxJointEmbedding

SCORES = np.array([[2.0, 1.0], [0.0, 4.0]], "float32")
OWN = np.eye(2, dtype="float32")


def _softplus(x):
    return math.log1p(math.exp(x))


def test_value_by_hand():
    # Of two choices, the cross-entropy is softplus(other - own): for images 1
    # - 2 and 0 - 4, for texts 0 - 2 and 1 - 4.
    costs = [_softplus(x) for x in (-1, -4, -2, -3)]
    loss = SoftmaxJointEmbedding()(OWN, SCORES)
    assert float(loss) == pytest.approx(sum(costs) / 4, rel=1e-6)


def test_temperature_by_hand():
    costs = [_softplus(x / 0.5) for x in (-1, -4, -2, -3)]
    loss = SoftmaxJointEmbedding(temperature=0.5)(OWN, SCORES)
    assert float(loss) == pytest.approx(sum(costs) / 4, rel=1e-6)


def test_choices_of_the_same_class_share():
    # Two of three rows are of one class; all scores are alike, so each choice
    # has a third: log 3 whatever the shares.
    matches = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], "float32")
    loss = SoftmaxJointEmbedding()(matches, np.zeros((3, 3)))
    assert float(loss) == pytest.approx(math.log(3))
    # Scores that say just that cost what the halves are unsure of, log 2 for
    # two rows of three.
    loss = SoftmaxJointEmbedding()(matches, 100 * matches)
    assert float(loss) == pytest.approx(2 / 3 * math.log(2))


def test_gradient_by_hand():
    scores = tf.Variable(SCORES)
    with tf.GradientTape() as tape:
        loss = SoftmaxJointEmbedding()(OWN, scores)

    # Softmax less target, over rows and over columns, over 2 x 2.
    def softmax(x):
        return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)

    expected = (softmax(SCORES) - OWN + softmax(SCORES.T).T - OWN) / 4
    np.testing.assert_allclose(tape.gradient(loss, scores), expected, atol=1e-6)


def test_replicas_share_the_loss(two_replicas):
    losses = two_replicas.run(
        lambda: SoftmaxJointEmbedding()(tf.constant(OWN), tf.constant(SCORES))
    )
    total = two_replicas.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)
    expected = float(SoftmaxJointEmbedding()(OWN, SCORES))
    assert float(total) == pytest.approx(expected)


def test_config_round_trip():
    loss = SoftmaxJointEmbedding(temperature=0.5, name="mine")
    config = keras.saving.serialize_keras_object(loss)
    copy = keras.saving.deserialize_keras_object(config)
    assert isinstance(copy, SoftmaxJointEmbedding)
    assert (copy.temperature, copy.name) == (0.5, "mine")
    assert float(copy(OWN, SCORES)) == float(loss(OWN, SCORES))


@pytest.mark.parametrize("temperature", [0, -1, float("nan")])
def test_temperatures_that_are_refused(temperature):
    with pytest.raises(ValueError, match=f"above 0. Received: {temperature}"):
        SoftmaxJointEmbedding(temperature)
