"""When the discriminator begins to learn whether texts match."""

from typing import Any

import keras
from keras import ops

from keras_t2i.checks import check_number
from keras_t2i.checks import check_whole_number
from keras_t2i.types import Tensor


@keras.saving.register_keras_serializable("keras_t2i")
class StagedMatching(keras.layers.Layer):
    """Lets a GAN learn plausible images first, then matching ones.

    The weight of the mismatched pairs stays at zero until the training has
    reached `start_step`, or until the discriminator's accuracy on generated
    pairs has been below `accuracy_threshold` for `patience` steps, since the
    images are plausible then. Whichever comes first starts an even rise to the
    full weight, and nothing stops it again: the step at which the accuracy
    started it is saved with the model.

    Args:
        start_step: int. Steps trained before the weight rises. Defaults to
            `None`: the accuracy alone decides.
        accuracy_threshold: float in (0, 1). Defaults to `None`: the steps
            alone decide.
        patience: int. Steps in a row for which the accuracy, smoothed, must
            be below the threshold. Defaults to `100`.
        rise_steps: int. Steps from zero to the full weight. Defaults to
            `1000`.
        smoothing: float in [0, 1). Decay of the moving average of the
            accuracy, which begins at 1. Defaults to `0.98`.

    Example:

    >>> schedule = keras_t2i.StagedMatching(start_step=100, rise_steps=50)
    >>> [float(schedule.factor(step)) for step in (0, 100, 125, 150, 900)]
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """

    def __init__(
        self,
        start_step: int | None = None,
        accuracy_threshold: float | None = None,
        patience: int = 100,
        rise_steps: int = 1000,
        smoothing: float = 0.98,
        **kwargs: Any,
    ) -> None:
        # Its few numbers are exact whatever the precision of the networks.
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        if start_step is None and accuracy_threshold is None:
            raise ValueError(
                "`StagedMatching` needs a `start_step`, an "
                "`accuracy_threshold` or both. Received: neither"
            )
        if start_step is not None:
            check_whole_number(start_step, "start_step", at_least=0)
        check_whole_number(patience, "patience", at_least=1)
        check_whole_number(rise_steps, "rise_steps", at_least=1)
        if accuracy_threshold is not None:
            check_number(
                accuracy_threshold,
                "accuracy_threshold",
                "a number in (0, 1)",
                lambda threshold: 0 < threshold < 1,
            )
        check_number(
            smoothing, "smoothing", "a number in [0, 1)", lambda s: 0 <= s < 1
        )
        self.start_step = start_step
        self.accuracy_threshold = accuracy_threshold
        self.patience = patience
        self.rise_steps = rise_steps
        self.smoothing = smoothing
        # All replicas compute the same values: any one of them will do.
        shared = {"trainable": False, "aggregation": "only_first_replica"}
        # Exact until step 16,777,216.
        self.started_at = self.add_weight(
            name="started_at",
            initializer=keras.initializers.Constant(-1),
            **shared,
        )
        self.smoothed_accuracy = self.add_weight(
            name="smoothed_accuracy", initializer="ones", **shared
        )
        self.steps_below = self.add_weight(
            name="steps_below", initializer="zeros", **shared
        )
        self.built = True

    def factor(self, step: Tensor) -> Tensor:
        """Returns the factor of the weight in the step to come.

        Args:
            step: int scalar. Steps trained before it.

        Returns:
            float32 scalar in [0, 1].
        """
        step = ops.cast(step, "float32")
        factor = 0.0
        if self.start_step is not None:
            factor = self._risen(step - self.start_step)
        if self.accuracy_threshold is not None:
            risen = self._risen(step - self.started_at)
            factor = ops.maximum(
                factor, ops.where(self.started_at < 0.0, 0.0, risen)
            )
        return factor

    def _risen(self, steps: Tensor) -> Tensor:
        return ops.clip(steps / self.rise_steps, 0.0, 1.0)

    def update(self, step: Tensor, generated_accuracy: Tensor) -> None:
        """Takes in how a step went.

        Args:
            step: int scalar. Steps trained, this one included.
            generated_accuracy: float scalar in [0, 1]. Share of the generated
                pairs of all replicas that the discriminator refused.
        """
        if self.accuracy_threshold is None:
            return
        smoothed = (
            self.smoothing * self.smoothed_accuracy
            + (1.0 - self.smoothing) * generated_accuracy
        )
        steps_below = ops.where(
            smoothed < self.accuracy_threshold, self.steps_below + 1.0, 0.0
        )
        begins = ops.logical_and(
            steps_below >= self.patience, self.started_at < 0.0
        )
        self.started_at.assign(
            ops.where(begins, ops.cast(step, "float32"), self.started_at)
        )
        self.smoothed_accuracy.assign(smoothed)
        self.steps_below.assign(steps_below)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "start_step": self.start_step,
            "accuracy_threshold": self.accuracy_threshold,
            "patience": self.patience,
            "rise_steps": self.rise_steps,
            "smoothing": self.smoothing,
        }
