"""Writes a line of metrics every few steps."""

import json
import time

from keras_t2i.callbacks.step_callback import StepCallback


class RunRecorder(StepCallback):
    """Appends the metrics of every few steps to a file, one JSON a line.

    Each line holds `step`, `epoch`, `seconds` and the model's metrics, each
    metric the mean since the line before. The model's metrics are reset after
    each line, so what `fit` returns at the end of an epoch covers the steps
    since the last line.

    Args:
        path: path of the file.
        steps_per_epoch: int.
        every_steps: int. Defaults to `10`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.
        first_seconds: float. Seconds trained before `fit`. Defaults to `0`.
    """

    def __init__(
        self,
        path,
        steps_per_epoch,
        every_steps=10,
        first_step=0,
        first_seconds=0.0,
    ):
        super().__init__(first_step)
        self.path = path
        self.steps_per_epoch = steps_per_epoch
        self.every_steps = every_steps
        self._first_seconds = first_seconds
        self._started = None

    @property
    def seconds(self):
        """Seconds trained so far, those before `fit` included."""
        if self._started is None:
            return self._first_seconds
        return self._first_seconds + time.monotonic() - self._started

    def on_train_begin(self, logs=None):
        self._started = time.monotonic()

    def on_step_end(self, step, logs):
        if step % self.every_steps:
            return
        line = {
            "step": step,
            "epoch": step // self.steps_per_epoch,
            "seconds": round(self.seconds, 3),
            **{name: float(value) for name, value in logs.items()},
        }
        # One write of a whole line: a kill leaves at most one part of a line.
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.model.reset_metrics()
