"""What stands for the one `optimizer` of a Keras model where there are two."""

import keras

from keras_t2i.types import Tensor


class OptimizerPair:
    """A view of two optimizers as one, for callbacks and `summary`.

    `ReduceLROnPlateau` and `LearningRateScheduler` set the generator's
    learning rate, and the discriminator's follows: their ratio stays.

    Args:
        generator_optimizer: built `keras.optimizers.Optimizer`.
        discriminator_optimizer: built `keras.optimizers.Optimizer`.
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
