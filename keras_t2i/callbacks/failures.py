"""Notices a training that has failed."""

import math
import warnings

from keras_t2i.callbacks.checkpoints import last_good_checkpoint
from keras_t2i.callbacks.run_recorder import RECORDED_STEPS
from keras_t2i.callbacks.step_callback import StepCallback

# Of accuracies: this far from 0 or 1 is as good as there. Of the 640 pictures
# of ten steps, the discriminator of a lost training misjudges two or three.
_MARGIN = 0.02
# Of the diversity: below that, pictures of different captions look alike.
_LEAST_DIVERSITY = 0.2


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


class CollapseWarning(StepCallback):
    """Warns once for each way in which a GAN fails without an error.

    There are four: the generated pictures are all alike, the discriminator
    tells all pictures apart, so that the generator learns nothing from it, or
    it takes all generated pictures for real, or none. Each must have lasted for
    some time, since all of them pass by at the start of a training.
    They are looked for every ten steps, when a run's metrics are of ten steps
    and not of one batch.

    Args:
        patience: int. Steps in a row. Defaults to `500`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.
    """

    def __init__(self, patience=500, first_step=0):
        super().__init__(first_step)
        self.patience = patience
        self._since = {}
        self._warned = set()

    def on_step_end(self, step, logs):
        if step % RECORDED_STEPS:
            return
        for sign, shows in _signs(logs).items():
            since = self._since.setdefault(sign, step)
            if not shows:
                del self._since[sign]
            elif step - since >= self.patience and sign not in self._warned:
                self._warned.add(sign)
                warnings.warn(
                    f"For {step - since} steps, until step {step}, {sign}. See "
                    "docs/troubleshooting.md for what it means and what to "
                    "change.",
                    stacklevel=2,
                )


def _signs(logs):
    """Returns what may be wrong, and whether it is."""
    real = logs["real_accuracy"]
    generated = logs["generated_accuracy"]
    diversity = logs["diversity"]
    return {
        f"the generated pictures have been nearly alike (diversity below "
        f"{_LEAST_DIVERSITY} of that of real ones)": (
            diversity < _LEAST_DIVERSITY
        ),
        "the discriminator has told all real and generated pictures apart "
        "(both accuracies at 1)": min(real, generated) > 1.0 - _MARGIN,
        "the discriminator has taken all generated pictures for real ones "
        "(generated_accuracy at 0)": generated < _MARGIN,
        "the discriminator has refused all real pictures "
        "(real_accuracy at 0)": real < _MARGIN,
    }
