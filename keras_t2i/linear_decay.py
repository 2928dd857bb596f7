"""A learning rate that falls to 0 over the last steps of a training."""

from typing import Any

import keras
from keras import ops

from keras_t2i.types import Tensor

# Later than any step.
_NEVER = 2**62


@keras.saving.register_keras_serializable("keras_t2i")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that is constant first, and then falls linearly to 0.

    `set_steps` sets the beginning and the end of the fall later, also while the
    model is trained. The steps are kept in variables, so a train function
    that is traced already sees the change, and in the config, so a saved model
    resumes with them.

    Args:
        initial_learning_rate: float.
        first_step: int. Until this step the learning rate is constant. Defaults
            to `None`: it stays constant.
        last_step: int, not below `first_step`. From this step on the learning
            rate is 0. Defaults to `None`, as `first_step` then is.

    Call input: the step, which is the number of updates before. Output: scalar.

    Raises:
        ValueError: only one step is given, or they are not in this order.

    Example:

    >>> decay = keras_t2i.LinearDecay(0.5, first_step=6, last_step=10)
    >>> [float(decay(step)) for step in (0, 6, 7, 8, 9, 10, 11)]
    [0.5, 0.5, 0.375, 0.25, 0.125, 0.0, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_step: int | None = None,
        last_step: int | None = None,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self._first_step, self._last_step = (
            keras.Variable(
                _NEVER,
                dtype="int64",
                trainable=False,
                aggregation="only_first_replica",
                name=name,
            )
            for name in ("first_step", "last_step")
        )
        self.set_steps(first_step, last_step)

    @property
    def first_step(self) -> int | None:
        """The step at which the fall begins, `None` without a fall."""
        return _number(self._first_step)

    @property
    def last_step(self) -> int | None:
        """The step at which the learning rate is 0, `None` without a fall."""
        return _number(self._last_step)

    def is_under_way(self, step: int) -> bool:
        """Tells whether a step is one of the fall."""
        first, last = self.first_step, self.last_step
        return first is not None and last is not None and first <= step < last

    def set_steps(self, first_step: int | None, last_step: int | None) -> None:
        """Sets both steps, as the constructor does.

        Raises:
            ValueError: only one step is given, or they are not in this order.
        """
        if first_step is None and last_step is None:
            first_step = last_step = _NEVER
        elif (
            first_step is None
            or last_step is None
            or not 0 <= first_step <= last_step < _NEVER
        ):
            raise ValueError(
                "`first_step` and `last_step` must be steps in this order, or "
                f"both be None. Received: {first_step!r} and {last_step!r}."
            )
        self._first_step.assign(first_step)
        self._last_step.assign(last_step)

    def __call__(self, step: Tensor) -> Tensor:
        left = self._last_step - ops.cast(step, "int64")
        length = ops.maximum(self._last_step - self._first_step, 1)
        share = ops.cast(left, "float32") / ops.cast(length, "float32")
        return self.initial_learning_rate * ops.clip(share, 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_step": self.first_step,
            "last_step": self.last_step,
        }


def schedules_of(
    model: keras.Model,
) -> list[keras.optimizers.schedules.LearningRateSchedule]:
    """Lists the learning rate schedules of a model's optimizers.

    The model is compiled, with one `optimizer` or, as `TextToImageGAN`, one for
    each network. The list is empty where the learning rates are numbers.
    """
    schedules = []
    for name in ("optimizer", "generator_optimizer", "discriminator_optimizer"):
        optimizer = getattr(model, name, None)
        # What scales the losses of half precision has an optimizer inside.
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        # `learning_rate` is the number that the schedule has at this step.
        schedules.append(getattr(optimizer, "_learning_rate", None))
    kind = keras.optimizers.schedules.LearningRateSchedule
    found = [item for item in schedules if isinstance(item, kind)]
    # A GAN's `optimizer` is a view of the other two.
    return list(dict.fromkeys(found))


def linear_decays(model: keras.Model) -> list[LinearDecay]:
    """Lists those of the `schedules_of` a model that are `LinearDecay`."""
    return [
        item for item in schedules_of(model) if isinstance(item, LinearDecay)
    ]


def _number(variable: keras.Variable) -> int | None:
    step = int(ops.convert_to_numpy(variable))
    return None if step == _NEVER else step
