"""A model whose steps are quick and whose metrics are known."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tests")
class SteppingModel(keras.Model):
    """Counts its steps; its metric is the mean of the numbers it is given."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.count = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="count"
        )
        self.mean = keras.metrics.Mean("number")
        self.built = True

    def call(self, inputs):
        return inputs

    def train_step(self, data):
        self.count.assign_add(1.0)
        self.mean.update_state(data)
        return self.get_metrics_result()

    def test_step(self, data):
        self.mean.update_state(100.0 * data)
        return self.get_metrics_result()

    @property
    def metrics(self):
        return [self.mean]


def stepping_model():
    model = SteppingModel()
    model.compile(run_eagerly=True)
    return model


def fit(model, callbacks, num_steps=10, first=1, epochs=1):
    """Takes steps with the numbers `first`, `first + 1`, ..."""
    numbers = tf.data.Dataset.range(first, first + num_steps)
    numbers = numbers.map(lambda number: tf.cast(number, tf.float32)).batch(1)
    return model.fit(
        numbers,
        epochs=epochs,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
