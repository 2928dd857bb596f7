import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.losses import StructuredJointEmbedding

# s = images @ texts.T = [[2, 1.5], [0.5, 1]]
IMAGES = np.array([[1.0, 0.0], [0.0, 1.0]], "float32")
TEXTS = np.array([[2.0, 0.5], [1.5, 1.0]], "float32")


def test_value_by_hand():
    # Texts of image 0: 1 + 1.5 - 2 = 0.5; of image 1: 1 + 0.5 - 1 = 0.5.
    # Images of text 0: 1 + 0.5 - 2 < 0, so 0; of text 1: 1 + 1.5 - 1 = 1.5.
    # (0.5 + 0.5 + 0 + 1.5) / 4 = 0.625
    loss = StructuredJointEmbedding()(IMAGES, TEXTS)
    assert float(loss) == pytest.approx(0.625)


def test_margin_by_hand():
    # Margin 2: 1.5 + 1.5 + 0.5 + 2.5 = 6, over 4 pairs.
    loss = StructuredJointEmbedding(margin=2.0)(IMAGES, TEXTS)
    assert float(loss) == pytest.approx(1.5)


def test_all_violating_pairs_count():
    # With equal scores each of the 3 * 2 wrong pairs costs the margin twice:
    # 12 / 9, not 1 / 3 as for the hardest pair of each row alone.
    zeros = np.zeros((3, 4), "float32")
    loss = StructuredJointEmbedding()(zeros, zeros)
    assert float(loss) == pytest.approx(12 / 9)


def test_well_separated_pairs_cost_nothing():
    images = 10 * np.eye(3, dtype="float32")
    assert float(StructuredJointEmbedding()(images, images)) == 0.0


def test_against_the_double_sum():
    generator = np.random.default_rng(0)
    images, texts = generator.normal(size=(2, 5, 4)).astype("float32")
    scores = images @ texts.T
    total = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                total += max(0.0, 1 + scores[i, j] - scores[i, i])
                total += max(0.0, 1 + scores[j, i] - scores[i, i])
    loss = StructuredJointEmbedding()(images, texts)
    assert float(loss) == pytest.approx(total / 25, rel=1e-5)


def test_gradient_pulls_pairs_together():
    images, texts = tf.constant(IMAGES), tf.Variable(TEXTS)
    with tf.GradientTape() as tape:
        loss = StructuredJointEmbedding()(images, texts)
    gradient = tape.gradient(loss, texts)
    # d loss / d s = [[-1, 2], [1, -2]] / 4 by the active terms above, and
    # d loss / d texts is its transpose times the images.
    expected = np.array([[-0.25, 0.25], [0.5, -0.5]], "float32")
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_replicas_share_the_loss(two_replicas):
    # Gradients are summed over replicas, so each must hold its share.
    losses = two_replicas.run(
        lambda: StructuredJointEmbedding()(
            tf.constant(IMAGES), tf.constant(TEXTS)
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
    assert float(copy(IMAGES, TEXTS)) == float(loss(IMAGES, TEXTS))
