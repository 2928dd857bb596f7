import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.losses import mode_seeking_loss


def test_by_hand():
    # Pictures 0.5 and 0.25 apart, noises 1 and 2: 1 / (0.375 / 1.5).
    pictures = np.zeros((2, 2, 2, 3), "float32")
    other = np.stack([pictures[0] + 0.5, pictures[1] - 0.25])
    noise = np.zeros((2, 4), "float32")
    other_noise = np.stack([noise[0] - 1.0, noise[1] + 2.0])
    loss = mode_seeking_loss(pictures, other, noise, other_noise)
    assert float(loss) == pytest.approx(4.0, rel=1e-4)


def test_pictures_that_are_alike_are_dear_but_finite():
    pictures, noise = np.zeros((2, 4, 4, 3)), np.zeros((2, 4))
    loss = mode_seeking_loss(pictures, pictures, noise, noise + 1.0)
    assert float(loss) == pytest.approx(1e5)


def test_descending_drives_pictures_apart():
    picture = tf.Variable(np.full((1, 2, 2, 3), 0.1, "float32"))
    with tf.GradientTape() as tape:
        loss = mode_seeking_loss(
            picture,
            tf.zeros_like(picture),
            tf.ones((1, 4)),
            tf.zeros((1, 4)),
        )
    assert np.all(tape.gradient(loss, picture) < 0.0)
