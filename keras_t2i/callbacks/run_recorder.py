"""Writes a line of metrics every few steps."""

import json
import time

import keras

from keras_t2i.callbacks.step_callback import StepCallback

RECORDED_STEPS = 10


class RunRecorder(StepCallback):
    """Appends the metrics of every few steps to a file, one JSON a line.

    Each line holds `step`, `epoch`, `seconds` and the model's metrics, each
    metric the mean since the line before. The model's metrics are reset after
    each line, so what `fit` returns at the end of an epoch covers the steps
    since the last line. A training that ends between two lines writes one of
    the steps it had; what goes on from there writes the next line of all its
    steps, as if nothing had happened.

    Args:
        path: path of the file.
        steps_per_epoch: int.
        every_steps: int. Defaults to `10`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.
        first_seconds: float. Seconds trained before `fit`. Defaults to `0`.
        keep_best: `KeepBest`, which comes before this one. What it takes does
            not count in the seconds. Defaults to `None`.

    Attributes:
        recorded_seconds: float. `seconds` of the last line.
    """

    def __init__(
        self,
        path,
        steps_per_epoch,
        every_steps=RECORDED_STEPS,
        first_step=0,
        first_seconds=0.0,
        keep_best=None,
    ):
        super().__init__(first_step)
        self.path = path
        self.steps_per_epoch = steps_per_epoch
        self.every_steps = every_steps
        self.recorded_seconds = first_seconds
        self.keep_best = keep_best
        self._first_seconds = first_seconds
        self._started = None
        self._logs = {}
        self._metric_values = []

    @property
    def seconds(self):
        """Seconds trained so far, those before `fit` included."""
        if self._started is None:
            return self._first_seconds
        seconds = time.monotonic() - self._started
        if self.keep_best is not None:
            seconds -= self.keep_best.seconds
        return self._first_seconds + seconds

    def on_train_begin(self, logs=None):
        self._started = time.monotonic()
        self._metric_values = []
        self._keep_metrics()

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        for variable, value in self._metric_values:
            variable.assign(value)
        self._metric_values = []

    def on_test_begin(self, logs=None):
        self._keep_metrics()

    def on_epoch_end(self, epoch, logs=None):
        # Without a validation, which resets them too.
        if not self._metric_values:
            self._keep_metrics()

    def _keep_metrics(self):
        """Keeps those since the last line: `fit` resets them with an epoch."""
        if self.step % self.every_steps:
            self._metric_values = [
                (variable, keras.ops.convert_to_numpy(variable))
                for metric in self.model.metrics
                for variable in metric.variables
            ]

    def on_train_end(self, logs=None):
        if self.step % self.every_steps and self._logs:
            self._write(self.step, self._logs)

    def on_step_end(self, step, logs):
        self._logs = logs
        if step % self.every_steps == 0:
            self._write(step, logs)
            self.model.reset_metrics()

    def _write(self, step, logs):
        self.recorded_seconds = round(self.seconds, 3)
        line = {
            "step": step,
            "epoch": step // self.steps_per_epoch,
            "seconds": self.recorded_seconds,
            **{name: float(value) for name, value in logs.items()},
        }
        # One write of a whole line: a kill leaves at most one part of a line.
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
