"""Callbacks that count steps through all epochs and resumed runs."""

import keras


class StepCallback(keras.callbacks.Callback):
    """Calls `on_step_end(step, logs)` with the number of steps trained so far.

    Args:
        first_step: int. Steps trained before `fit`. Defaults to `0`.
    """

    def __init__(self, first_step=0):
        super().__init__()
        self.step = first_step
        self._epoch_start = first_step

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_start = self.step

    def on_train_batch_end(self, batch, logs=None):
        # The last of several steps in one execution, though the epoch may end
        # before: the rest of them was not taken.
        done = min(batch + 1, self.params.get("steps") or batch + 1)
        self.step = self._epoch_start + done
        self.on_step_end(self.step, logs)

    def on_step_end(self, step, logs):
        raise NotImplementedError
