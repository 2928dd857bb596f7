"""What a step does to weights, beside the optimizer's update."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_t2i.types import Tensor


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: list[Tensor | None],
    variables: list[keras.Variable],
) -> None:
    """Applies gradients on all replicas, or skips the step on all of them."""
    optimizer.apply(skipped_together(optimizer, gradients), variables)


def skipped_together(
    optimizer: keras.optimizers.Optimizer, gradients: list[Tensor | None]
) -> list[Tensor | None]:
    """Makes gradients NaN on all replicas if they overflow on one of them.

    `LossScaleOptimizer` skips a step whose gradients are not finite, but looks
    at the first replica alone: the others' would spoil the weights.

    Returns:
        The gradients, unchanged on one device or without a
        `LossScaleOptimizer`.
    """
    replica = tf.distribute.get_replica_context()
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if replica.num_replicas_in_sync == 1 or not scales:
        return gradients
    finite = [ops.all(ops.isfinite(g)) for g in gradients if g is not None]
    num_bad = replica.all_reduce(
        tf.distribute.ReduceOp.SUM,
        ops.cast(ops.logical_not(ops.all(ops.stack(finite))), "float32"),
    )
    extra = ops.where(num_bad > 0.0, np.nan, 0.0)
    return [
        None if g is None else g + ops.cast(extra, g.dtype) for g in gradients
    ]


class ExponentialMovingAverage:
    """Keeps a second network at the moving average of a first one's weights.

    The decay rises to its value during the first steps: the full decay would
    show the initial weights, and so gray images, for the first thousand.

    Args:
        decay: float in [0, 1].
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def update(
        self, averages: keras.Model, network: keras.Model, step: Tensor
    ) -> None:
        """Moves `averages` towards the weights of `network`.

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

        def assign(
            strategy: tf.distribute.Strategy,
            averages: list[Tensor],
            values: list[Tensor],
            decays: list[Tensor],
        ) -> None:
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
