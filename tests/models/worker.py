"""One worker of a training on several, for multi_worker_test.py.

Its place is in the environment variable TF_CONFIG. Prints what it has logged,
and the sum of the magnitudes of each network's weights, as JSON.
"""

import json
import sys

import keras_t2i  # noqa: F401  First: it sets TensorFlow up.

# isort: split
import keras
import numpy as np
import tensorflow as tf

from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_gan

NUM_ROWS = 8
NUM_STEPS = 3


def trained(strategy):
    """Trains a tiny GAN; returns it and what it has logged."""
    rows = tf.data.Dataset.from_tensor_slices(embeddings_batch(NUM_ROWS))
    stream = rows.batch(NUM_ROWS).repeat(NUM_STEPS)
    with strategy.scope():
        keras.utils.set_random_seed(0)
        gan = tiny_gan(mode_seeking_weight=0.001)
        gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    history = gan.fit(stream, verbose=0).history
    return gan, {name: values[-1] for name, values in history.items()}


def sums(gan):
    """The sum of the magnitudes of each weight, by its place."""
    return [float(np.abs(weight.numpy()).sum()) for weight in gan.weights]


if __name__ == "__main__":
    gan, logs = trained(tf.distribute.MultiWorkerMirroredStrategy())
    json.dump({"logs": logs, "sums": sums(gan)}, sys.stdout)
