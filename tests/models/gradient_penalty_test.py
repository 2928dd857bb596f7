import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.gradient_penalty import gradient_penalty

SHAPE = (4, 2, 2, 3)


def _images():
    return tf.constant(np.random.default_rng(0).normal(size=SHAPE), "float32")


def _direction():
    direction = np.random.default_rng(1).normal(size=SHAPE[1:])
    return tf.constant(direction, "float32")


def test_of_a_linear_logit():
    direction = _direction()

    def logits_of(images):
        return tf.reduce_sum(direction * images, axis=(1, 2, 3))[:, None]

    penalty = gradient_penalty(logits_of, _images(), 3.0, 16, tf.constant(32))
    # The gradient is the direction in all images.
    expected = 16 * 3.0 / 2 * np.square(direction).sum()
    assert float(penalty) == pytest.approx(expected, rel=1e-5)


def test_of_a_quadratic_logit_and_on_to_its_weights():
    scale = tf.Variable(0.5)

    def logits_of(images):
        return scale * tf.reduce_sum(images**2, axis=(1, 2, 3))[:, None]

    with tf.GradientTape() as tape:
        penalty = gradient_penalty(logits_of, _images(), 2.0, 4, tf.constant(0))
    # The gradient is 2 * scale * x, so the penalty 4 * 2 / 2 * 4 * scale^2 * q.
    q = np.square(_images()).sum(axis=(1, 2, 3)).mean()
    assert float(penalty) == pytest.approx(16 * 0.25 * q, rel=1e-5)
    gradient = tape.gradient(penalty, scale)
    assert float(gradient) == pytest.approx(16 * 2 * 0.5 * q, rel=1e-5)


def test_only_every_interval():
    @tf.function
    def penalty(step):
        return gradient_penalty(
            lambda images: tf.reduce_sum(images, axis=(1, 2, 3))[:, None],
            _images(),
            1.0,
            3,
            step,
        )

    values = [float(penalty(tf.constant(step))) for step in range(7)]
    # 3 * 1 / 2 * 12 ones.
    assert values == [18.0, 0.0, 0.0, 18.0, 0.0, 0.0, 18.0]


def test_two_devices_add_up_to_what_one_gives(two_replicas):
    images = _images()

    def penalty(rows):
        return gradient_penalty(
            lambda images: tf.reduce_sum(images**2, axis=(1, 2, 3))[:, None],
            rows,
            1.0,
            1,
            tf.constant(5),
        )

    def step():
        context = tf.distribute.get_replica_context()
        first = 2 * context.replica_id_in_sync_group
        return penalty(images[first : first + 2])

    shares = tf.function(lambda: two_replicas.run(step))()
    first, second = two_replicas.experimental_local_results(shares)
    assert float(first) != float(second)
    assert float(first + second) == pytest.approx(float(penalty(images)), 1e-5)
