"""Streams of tf.data without its tuner."""

import tensorflow as tf


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Switches tf.data's tuner off, where there is nothing for it to choose.

    The tuner wakes after 10 ms, then after twice as long each time, up to a
    minute. In TensorFlow 2.21 a stream that ends often waits for its next turn:
    as long again as the stream had taken, or a minute, at the most.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
