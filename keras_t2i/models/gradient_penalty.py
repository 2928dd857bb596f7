"""The gradient of a discriminator with respect to real images, made small."""

import tensorflow as tf


def gradient_penalty(logits_of, images, weight, interval, step):
    """Penalizes the gradient of logits with respect to images, lazily.

    Args:
        logits_of: function of images to logits of shape `(batch, 1)`.
        images: float tensor of shape `(batch, height, width, channels)`.
        weight: float. Gamma of the reference.
        interval: int. Steps from one penalty to the next.
        step: int tensor.

    Returns:
        Scalar float32 tensor: in every `interval`-th step `interval * weight /
        2` times the mean over the images of the squared norm of the gradient,
        and 0 in between. Of several devices each has its share.

    Reference:
        - [Mescheder et al., 2018](https://arxiv.org/abs/1801.04406), equation
          9.
        - [Karras et al., 2020](https://arxiv.org/abs/1912.04958), appendix B.
    """

    def penalty():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = tf.reduce_sum(logits_of(images))
        gradient = tf.cast(tape.gradient(logits, images), tf.float32)
        square = tf.reduce_sum(tf.square(gradient), axis=(1, 2, 3))
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return 0.5 * weight * interval / replicas * tf.reduce_mean(square)

    return tf.cond(
        tf.equal(tf.cast(step, tf.int64) % interval, 0),
        penalty,
        lambda: tf.constant(0.0),
    )
