"""What a step does to weights, and two optimizers seen as one."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_t2i.models.normalization import TextStandardization
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
    at the first replica alone: the others' would spoil the weights. On one
    device, or without a `LossScaleOptimizer`, the gradients stay unchanged.
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

    The decay, in [0, 1], rises to its value during the first steps: the full
    decay would show the initial weights, and so gray images, for the first
    thousand.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def update(
        self, averages: keras.Model, network: keras.Model, step: Tensor
    ) -> None:
        """Moves `averages` towards the weights of `network`.

        Both have the same weights in the same order. `step`, an int scalar, is
        the number of steps trained, this one included.
        """
        step = ops.cast(step, "float32")
        decay = ops.minimum(self.decay, (1.0 + step) / (10.0 + step))
        # Batch norm's moving statistics are averages already, and those of
        # texts are constant. Weights that are frozen for a while are neither.
        frozen = {
            id(weight)
            for layer in network._flatten_layers()
            if not layer.trainable
            and not isinstance(layer, TextStandardization)
            for weight in layer.weights
        }
        decays = [
            decay if weight.trainable or id(weight) in frozen else 0.0
            for weight in network.weights
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


class OptimizerPair:
    """A view of two optimizers as one, for callbacks and `summary`.

    `ReduceLROnPlateau` and `LearningRateScheduler` set the generator's learning
    rate, and the discriminator's follows: their ratio stays. Both optimizers
    must be built.
    """

    name = "generator_optimizer"
    built = True

    def __init__(
        self,
        generator_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
    ) -> None:
        self._generator = generator_optimizer
        self._discriminator = discriminator_optimizer
        self._ratio = 1.0

    @property
    def inner_optimizer(self) -> keras.optimizers.Optimizer:
        """That of the generator, whose learning rate `TensorBoard` writes."""
        return self._generator

    @property
    def iterations(self) -> Tensor:
        """Updates of the generator."""
        return self._generator.iterations

    @property
    def variables(self) -> list[keras.Variable]:
        """Those of both optimizers."""
        return [*self._generator.variables, *self._discriminator.variables]

    @property
    def learning_rate(self) -> Tensor:
        """That of the generator; the discriminator's keeps its ratio to it."""
        return self._generator.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        before, discriminators = (
            float(keras.ops.convert_to_numpy(optimizer.learning_rate))
            for optimizer in (self._generator, self._discriminator)
        )
        # A warm-up may begin at 0, where there is no ratio.
        if before > 0.0:
            self._ratio = discriminators / before
        self._generator.learning_rate = value
        self._discriminator.learning_rate = self._ratio * float(value)
