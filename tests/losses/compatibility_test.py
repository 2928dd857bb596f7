import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.losses import SoftmaxJointEmbedding
from keras_t2i.losses import StructuredJointEmbedding

SCORES = np.array([[2.0, 1.5], [0.5, 1.0]], "float32")
OWN = np.eye(2, dtype="float32")
SOFTMAX_SCORES = np.array([[2.0, 1.0], [0.0, 4.0]], "float32")
OWN = np.eye(2, dtype="float32")


def test_value_by_hand():
    # Texts of image 0: 1 + 1.5 - 2 = 0.5; of image 1: 1 + 0.5 - 1 = 0.5.
    # Images of text 0: 1 + 0.5 - 2 < 0, so 0; of text 1: 1 + 1.5 - 1 = 1.5.
    # (0.5 + 0.5 + 0 + 1.5) / 4 = 0.625
    loss = StructuredJointEmbedding()(OWN, SCORES)
    assert float(loss) == pytest.approx(0.625)


def test_margin_by_hand():
    # Margin 2: 1.5 + 1.5 + 0.5 + 2.5 = 6, over 4 pairs.
    loss = StructuredJointEmbedding(margin=2.0)(OWN, SCORES)
    assert float(loss) == pytest.approx(1.5)


def test_all_violating_pairs_count():
    # With equal scores each of the 3 * 2 wrong pairs costs the margin twice:
    # 12 / 9, not 1 / 3 as for the hardest pair of each row alone.
    loss = StructuredJointEmbedding()(np.eye(3), np.zeros((3, 3)))
    assert float(loss) == pytest.approx(12 / 9)


def test_well_separated_pairs_cost_nothing():
    assert float(StructuredJointEmbedding()(np.eye(3), 10 * np.eye(3))) == 0.0


def test_texts_of_the_same_class_cost_nothing():
    # Images 0 and 1 are of one class: of the violations above, with a third
    # row of all zeros, only those of and with row 2 are left.
    matches = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], "float32")
    scores = np.zeros((3, 3), "float32")
    scores[:2, :2] = SCORES
    # Rows 0 and 1 against text 2: 0 and 1 + 0 - 1 = 0, and images 2 alike;
    # row 2 against texts 0 and 1: 1 + 0 - 0 each, and alike the other way.
    loss = StructuredJointEmbedding()(matches, scores)
    assert float(loss) == pytest.approx(4 / 9)


def test_against_the_double_sum():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(5, 5)).astype("float32")
    total = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                total += max(0.0, 1 + scores[i, j] - scores[i, i])
                total += max(0.0, 1 + scores[j, i] - scores[i, i])
    loss = StructuredJointEmbedding()(np.eye(5), scores)
    assert float(loss) == pytest.approx(total / 25, rel=1e-5)


def test_gradient_pulls_pairs_together():
    scores = tf.constant(SCORES)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        loss = StructuredJointEmbedding()(OWN, scores)
    # By the active terms above, each over 4.
    expected = np.array([[-0.25, 0.5], [0.25, -0.5]], "float32")
    np.testing.assert_allclose(tape.gradient(loss, scores), expected, atol=1e-6)


def test_replicas_share_the_loss(two_replicas):
    # Gradients are summed over replicas, so each must hold its share.
    losses = two_replicas.run(
        lambda: StructuredJointEmbedding()(
            tf.constant(OWN), tf.constant(SCORES)
        )
    )
    total = two_replicas.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)
    assert float(total) == pytest.approx(0.625)


def test_config_round_trip():
    loss = StructuredJointEmbedding(margin=0.5, name="mine")
    config = keras.saving.serialize_keras_object(loss)
    copy = keras.saving.deserialize_keras_object(config)
    assert isinstance(copy, StructuredJointEmbedding)
    assert copy.get_config() == loss.get_config()
    assert copy.margin == 0.5
    assert copy.name == "mine"
    assert float(copy(OWN, SCORES)) == float(loss(OWN, SCORES))


def _softplus(x):
    return math.log1p(math.exp(x))


def test_softmax_value_by_hand():
    # Of two choices, the cross-entropy is softplus(other - own): for images 1
    # - 2 and 0 - 4, for texts 0 - 2 and 1 - 4.
    costs = [_softplus(x) for x in (-1, -4, -2, -3)]
    loss = SoftmaxJointEmbedding()(OWN, SOFTMAX_SCORES)
    assert float(loss) == pytest.approx(sum(costs) / 4, rel=1e-6)


def test_temperature_by_hand():
    costs = [_softplus(x / 0.5) for x in (-1, -4, -2, -3)]
    loss = SoftmaxJointEmbedding(temperature=0.5)(OWN, SOFTMAX_SCORES)
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
    scores = tf.Variable(SOFTMAX_SCORES)
    with tf.GradientTape() as tape:
        loss = SoftmaxJointEmbedding()(OWN, scores)

    # Softmax less target, over rows and over columns, over 2 x 2.
    def softmax(x):
        return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)

    expected = (
        softmax(SOFTMAX_SCORES) - OWN + softmax(SOFTMAX_SCORES.T).T - OWN
    ) / 4
    np.testing.assert_allclose(tape.gradient(loss, scores), expected, atol=1e-6)


def test_replicas_share_the_softmax_loss(two_replicas):
    losses = two_replicas.run(
        lambda: SoftmaxJointEmbedding()(
            tf.constant(OWN), tf.constant(SOFTMAX_SCORES)
        )
    )
    total = two_replicas.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)
    expected = float(SoftmaxJointEmbedding()(OWN, SOFTMAX_SCORES))
    assert float(total) == pytest.approx(expected)


def test_softmax_config_round_trip():
    loss = SoftmaxJointEmbedding(temperature=0.5, name="mine")
    config = keras.saving.serialize_keras_object(loss)
    copy = keras.saving.deserialize_keras_object(config)
    assert isinstance(copy, SoftmaxJointEmbedding)
    assert (copy.temperature, copy.name) == (0.5, "mine")
    assert float(copy(OWN, SOFTMAX_SCORES)) == float(loss(OWN, SOFTMAX_SCORES))


@pytest.mark.parametrize("temperature", [0, -1, float("nan")])
def test_temperatures_that_are_refused(temperature):
    with pytest.raises(ValueError, match=f"above 0. Received: {temperature}"):
        SoftmaxJointEmbedding(temperature)


@pytest.mark.parametrize(
    "loss", [StructuredJointEmbedding, SoftmaxJointEmbedding]
)
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_class_ids_are_no_pairs(loss, shape):
    scores = np.zeros((4, 4), "float32")
    ids = np.arange(4, dtype="float32").reshape(shape)
    with pytest.raises(ValueError, match="a row for each image and a column"):
        loss().call(ids, scores)


def test_batches_of_unknown_size():
    loss = tf.function(
        SoftmaxJointEmbedding(),
        input_signature=[
            tf.TensorSpec((None, None)),
            tf.TensorSpec((2, 2)),
        ],
    )
    assert float(loss(OWN, SOFTMAX_SCORES)) == pytest.approx(
        float(SoftmaxJointEmbedding()(OWN, SOFTMAX_SCORES))
    )
