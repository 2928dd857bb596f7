"""The exponential moving average of a network's weights."""

import tensorflow as tf
from keras import ops


class ExponentialMovingAverage:
    """Keeps a second network at the moving average of a first one's weights.

    The decay rises to its value during the first steps: the full decay would
    show the initial weights, and so gray images, for the first thousand.

    Args:
        decay: float in [0, 1].
    """

    def __init__(self, decay):
        self.decay = decay

    def update(self, averages, network, step):
        """Takes in the weights after a step.

        Args:
            averages: `keras.Model`, which holds the averages.
            network: `keras.Model` with the same weights in the same order.
            step: int scalar. Steps trained, this one included.
        """
        step = ops.cast(step, "float32")
        decay = ops.minimum(self.decay, (1.0 + step) / (10.0 + step))
        # Batch norm's moving statistics are averages already.
        decays = [
            decay if weight.trainable else 0.0 for weight in network.weights
        ]

        def assign(strategy, averages, values, decays):
            for average, value, decay in zip(averages, values, decays):
                strategy.extended.update(
                    average,
                    lambda a, v, d: a.assign(d * a + (1.0 - d) * v),
                    args=(value, decay),
                )

        tf.distribute.get_replica_context().merge_call(
            assign,
            args=(
                [weight.value for weight in averages.weights],
                [weight.value for weight in network.weights],
                decays,
            ),
        )
