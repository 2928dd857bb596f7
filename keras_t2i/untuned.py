"""Streams of tf.data without autotuning."""

import tensorflow as tf


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Switches autotuning off, for streams that leave it nothing to choose.

    The tuner wakes after 10 ms, then after twice as long each time, up to a
    minute. In TensorFlow 2.21 a stream that ends often waits until it wakes
    again: up to as long as the stream has taken, and at most a minute.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
