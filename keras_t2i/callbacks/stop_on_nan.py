"""Ends a training whose numbers are no longer numbers."""

import math

from keras_t2i.callbacks.checkpoints import last_good_checkpoint
from keras_t2i.callbacks.step_callback import StepCallback


class StopOnNaN(StepCallback):
    """Raises an error after the first step with a NaN or infinite metric.

    Nothing is saved of such a step: callbacks that save, such as `Checkpoints`,
    come after this one.

    Args:
        folder: path of the folder of `Checkpoints`, to name the last one.
            Defaults to `None`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.

    Raises:
        FloatingPointError: from `fit`, after such a step.
    """

    def __init__(self, folder=None, first_step=0):
        super().__init__(first_step)
        self.folder = folder

    def on_step_end(self, step, logs):
        for name, value in logs.items():
            if not math.isfinite(float(value)):
                raise FloatingPointError(
                    f"{name} must be finite. Received: {float(value)} after "
                    f"step {step}, where the training was stopped. "
                    f"{last_good_checkpoint(self.folder)} It would end alike "
                    "if it went on from there: try a lower learning rate, or "
                    "float32 in place of mixed precision."
                )
