"""A learning rate that falls to 0 over the last steps of a training."""

import keras
from keras import ops

# Later than any step.
_NEVER = 2**62


@keras.saving.register_keras_serializable("keras_t2i")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that is constant first, and then falls linearly to 0.

    Where the fall begins and ends may be said later, by `set_steps`, also while
    the model is trained. The steps are kept in variables, so a train function
    that is traced already sees the change, and in the config, so a saved model
    goes on with them.

    Args:
        initial_learning_rate: float.
        first_step: int. Until this step the learning rate is constant. Defaults
            to `None`: it stays so.
        last_step: int. The step, not before `first_step`, from which on the
            learning rate is 0. Defaults to `None`, as `first_step` then is.

    Call input: the step, which counts the updates before. Output: scalar.

    Raises:
        ValueError: the steps are no such steps.

    Example:

    >>> decay = keras_t2i.LinearDecay(0.5, first_step=6, last_step=10)
    >>> [float(decay(step)) for step in (0, 6, 7, 8, 9, 10, 11)]
    [0.5, 0.5, 0.375, 0.25, 0.125, 0.0, 0.0]
    """

    def __init__(self, initial_learning_rate, first_step=None, last_step=None):
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
    def first_step(self):
        """The step at which the fall begins, `None` without."""
        return _number(self._first_step)

    @property
    def last_step(self):
        """The step at which the learning rate is 0, `None` without."""
        return _number(self._last_step)

    def is_under_way(self, step):
        """Tells whether a step is one of the fall."""
        return (
            self.first_step is not None
            and self.first_step <= step < self.last_step
        )

    def set_steps(self, first_step, last_step):
        """Sets both steps.

        Args:
            first_step: int, or `None`: the learning rate is constant.
            last_step: int, or `None`, as `first_step` then is.

        Raises:
            ValueError: the steps are no such steps.
        """
        steps = (first_step, last_step)
        if steps == (None, None):
            steps = (_NEVER, _NEVER)
        elif None in steps or not 0 <= first_step <= last_step < _NEVER:
            raise ValueError(
                "`first_step` and `last_step` must be steps in this order, or "
                f"both be None. Received: {first_step!r} and {last_step!r}."
            )
        self._first_step.assign(steps[0])
        self._last_step.assign(steps[1])

    def __call__(self, step):
        left = self._last_step - ops.cast(step, "int64")
        length = ops.maximum(self._last_step - self._first_step, 1)
        share = ops.cast(left, "float32") / ops.cast(length, "float32")
        return self.initial_learning_rate * ops.clip(share, 0.0, 1.0)

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_step": self.first_step,
            "last_step": self.last_step,
        }


def schedules_of(model):
    """Lists the learning rate schedules of a model's optimizers.

    Args:
        model: compiled `keras.Model`, with one `optimizer` or, as
            `TextToImageGAN`, one for each network.

    Returns:
        list of `keras.optimizers.schedules.LearningRateSchedule`, empty where
        the learning rates are numbers.
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


def linear_decays(model):
    """Lists those of the `schedules_of` a model that are `LinearDecay`."""
    return [
        item for item in schedules_of(model) if isinstance(item, LinearDecay)
    ]


def _number(variable):
    step = int(ops.convert_to_numpy(variable))
    return None if step == _NEVER else step
