"""Counts the steps of a training, and saves its state every few of them."""

import math
import os
import pathlib
import re
import time
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import TypeAlias

import keras
import numpy as np

from keras_t2i.checks import check_not_negative
from keras_t2i.checks import check_whole_number
from keras_t2i.files import atomic_write
from keras_t2i.types import StrPath

Logs: TypeAlias = dict[str, Any] | None
_FILE_PATTERN = re.compile(r"step-(\d{8})\.keras")


class StepCallback(keras.callbacks.Callback):
    """Calls `on_step_end(step, logs)` with the number of steps trained so far.

    They count across epochs and resumed runs.

    Args:
        first_step: int. Steps trained before `fit`. Defaults to `0`.

    Raises:
        ValueError: `first_step` is no whole number of at least 0.
    """

    def __init__(self, first_step: int = 0) -> None:
        super().__init__()
        check_whole_number(first_step, "first_step", at_least=0)
        self.step = first_step
        self._step_before = first_step - 1
        self._epoch_start = first_step
        self._counted_before = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch_start = self.step
        self._counted_before = self._counted() or 0

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        # With `steps_per_execution`, `batch` is the last step of an execution,
        # which may reach beyond the epoch. A model that counts its steps knows
        # how many it took.
        done = min(batch + 1, self.params.get("steps") or batch + 1)
        counted = self._counted()
        if counted is not None:
            done = counted - self._counted_before
        self._step_before = self.step
        self.step = self._epoch_start + done
        self.on_step_end(self.step, {} if logs is None else logs)

    def _counted(self) -> int | None:
        """Returns the model's own count, if it may take several at once."""
        at_once = getattr(self.model, "steps_per_execution", 1) != 1
        if at_once and hasattr(self.model, "steps_trained"):
            return int(self.model.steps_trained)
        return None

    def on_step_end(self, step: int, logs: dict[str, Any]) -> None:
        raise NotImplementedError

    def is_due(self, every_steps: int) -> bool:
        """Whether the last execution has reached a multiple of this number.

        An execution of several steps (`steps_per_execution`) may pass it.
        Before the first one, `first_step` counts as reached.
        """
        return self.step // every_steps > self._step_before // every_steps


def metric_values(
    model: keras.Model,
) -> list[tuple[keras.Variable, np.ndarray]]:
    """Returns the variables of a model's metrics, each with its value."""
    return [
        (variable, keras.ops.convert_to_numpy(variable))
        for metric in model.metrics
        for variable in metric.variables
    ]


def assign_values(values: list[tuple[keras.Variable, np.ndarray]]) -> None:
    """Gives variables the values that `metric_values` has returned."""
    for variable, value in values:
        variable.assign(value)


class KeepBest(StepCallback):
    """Measures the model every few steps, and saves it where it is best.

    The measures are added to the logs, each with `val_` before its name: to
    the logs of the step, for callbacks that come after this one, such as
    `RunRecorder`, and to those of each end of an epoch from then on. Keras'
    `EarlyStopping` and `ModelCheckpoint` can monitor them if they come later in
    the list. These two count epochs, while `patience` counts measurements.

    The file is replaced by an atomic write.

    Args:
        path: path of the .keras file for the best model, its optimizers
            included.
        measure: function of the model to a dict of names to floats, such as
            `keras_t2i.evaluation.QuickEvaluation.measure`.
        monitor: string. The measure that decides, by its name in the logs, such
            as `"val_kernel_distance"`.
        mode: `"min"` or `"max"`: whether less or more of it is better.
            Defaults to `"min"`.
        every_steps: int. Defaults to `250`.
        patience: int. Stop `fit` after this many measurements in a row that are
            not better than the best. Defaults to `None`: never.
        first_step: int. Steps trained before `fit`. Defaults to `0`.
        earlier: list of pairs of a step and the value of `monitor` after it, in
            rising order: the measurements before `fit`, which resumes from
            them. Defaults to none.

    Attributes:
        best: float. The best value, `None` before the first one.
        best_step: int. Its step, `None` before the first one.
        best_steps: list of ints. The steps that were the best so far, the best
            one last.
        seconds: float. Time spent on measuring and saving in this `fit`.

    Raises:
        ValueError: `mode` is neither, `path` is not that of a .keras file or a
            number is below 1; or, from `fit`, a measure is not finite or
            `monitor` is missing.
        OSError: from `fit`, where the file cannot be written.

    Example:

    >>> layer = keras.layers.Dense(1)
    >>> model = keras.Sequential([keras.Input((1,)), layer])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep_best = keras_t2i.callbacks.KeepBest(
    ...         os.path.join(folder, "best.keras"),
    ...         lambda model: {"error": abs(float(layer.bias[0]) - 1)},
    ...         monitor="val_error",
    ...         every_steps=2,
    ...     )
    ...     history = model.fit(
    ...         np.zeros((4, 1)),
    ...         np.ones((4, 1)),
    ...         batch_size=1,
    ...         callbacks=[keep_best],
    ...         verbose=0,
    ...     )
    ...     best = keras.saving.load_model(keep_best.path)
    >>> keep_best.best_steps, round(float(best.layers[0].bias[0]), 3)
    ([2, 4], 0.078)
    """

    def __init__(
        self,
        path: StrPath,
        measure: Callable[[keras.Model], Mapping[str, float]],
        monitor: str,
        mode: str = "min",
        every_steps: int = 250,
        patience: int | None = None,
        first_step: int = 0,
        earlier: Iterable[tuple[int, float]] = (),
    ) -> None:
        super().__init__(first_step)
        if mode not in ("min", "max"):
            raise ValueError(
                f'`mode` must be "min" or "max". Received: {mode!r}'
            )
        if pathlib.Path(path).suffix != ".keras":
            raise ValueError(
                f"`path` must be that of a .keras file. Received: {str(path)!r}"
            )
        check_whole_number(every_steps, "every_steps", at_least=1)
        if patience is not None:
            check_whole_number(patience, "patience", at_least=1)
        self.path = pathlib.Path(path)
        self.measure = measure
        self.monitor = monitor
        self.mode = mode
        self.every_steps = every_steps
        self.patience = patience
        self.best: float | None = None
        self.best_steps: list[int] = []
        self.seconds = 0.0
        self._num_not_better = 0
        self._results: dict[str, float] = {}
        for step, value in earlier:
            self._remember(step, value)

    @property
    def best_step(self) -> int | None:
        return self.best_steps[-1] if self.best_steps else None

    def on_train_begin(self, logs: Logs = None) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.seconds = 0.0

    def on_step_end(self, step: int, logs: dict[str, Any]) -> None:
        if not self.is_due(self.every_steps):
            return
        started = time.monotonic()
        self._results = self._measured()
        value = self._results[self.monitor]
        if self._is_better(value):
            with atomic_write(self.path) as temporary:
                self.model.save(temporary)
        self._remember(step, value)
        logs.update(self._results)
        if self.patience is not None and self._num_not_better >= self.patience:
            self.model.stop_training = True
        self.seconds += time.monotonic() - started

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        # The logs of an epoch are others than those of its last step.
        if logs is not None:
            logs.update(self._results)

    def _measured(self) -> dict[str, float]:
        # `evaluate` would leave its own values in the metrics of the training.
        values = metric_values(self.model)
        measures = self.measure(self.model)
        assign_values(values)
        results = {
            f"val_{name}": float(value) for name, value in measures.items()
        }
        if self.monitor not in results:
            raise ValueError(
                f"`monitor` must be one of {sorted(results)}, which `measure` "
                f"returns. Received: {self.monitor!r}"
            )
        for name, value in results.items():
            if not math.isfinite(value):
                raise ValueError(
                    "`measure` must return finite numbers. Received: "
                    f"{name}={value} after step {self.step}"
                )
        return results

    def _is_better(self, value: float) -> bool:
        if self.best is None:
            return True
        return value < self.best if self.mode == "min" else value > self.best

    def _remember(self, step: int, value: float) -> None:
        if self._is_better(value):
            self.best = value
            self.best_steps.append(step)
            self._num_not_better = 0
        else:
            self._num_not_better += 1


class Checkpoints(StepCallback):
    """Saves the model, its optimizers included, as `step-00001230.keras`.

    The newest two checkpoints are kept. They are atomic writes, and weights
    that are not finite are not saved.

    With `keep_best`, the last two of its best steps have a checkpoint too. So
    whichever of the newest two a training is resumed from, the checkpoint of
    the best step until then is there.

    Args:
        folder: path of the folder to save to.
        every_steps: int. Checkpoints are made after multiples of this number,
            and at the end. Defaults to `10`, as in `RunRecorder`, so that the
            records of a run end with its checkpoint.
        every_seconds: float. The least time between two checkpoints. Defaults
            to `60`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.
        keep_best: `KeepBest`, which comes before this callback. Defaults to
            `None`.
        clock: function that returns the time in seconds, such as one that
            several workers agree on. Defaults to `time.monotonic`.

    Raises:
        ValueError: a number is out of range; or, from `fit`, the folder holds
            checkpoints of later steps than `first_step`: they would pass for
            the newest ones.
        FloatingPointError: from `fit`, where a weight is not finite.
    """

    def __init__(
        self,
        folder: StrPath,
        every_steps: int = 10,
        every_seconds: float = 60.0,
        first_step: int = 0,
        keep_best: KeepBest | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(first_step)
        check_whole_number(every_steps, "every_steps", at_least=1)
        check_not_negative(every_seconds=every_seconds)
        self.folder = pathlib.Path(folder)
        self.every_steps = every_steps
        self.every_seconds = every_seconds
        self.keep_best = keep_best
        self.clock = clock
        self._saved_step = first_step
        self._saved_at = 0.0

    def on_train_begin(self, logs: Logs = None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        newest = max(checkpoint_steps(self.folder), default=0)
        if newest > self._saved_step:
            raise ValueError(
                "`folder` must hold no checkpoints of later steps than "
                f"`first_step`. Received: first_step={self._saved_step} and "
                f"{str(self.folder)!r}, which holds one of step {newest}. Name "
                "another folder, or load that checkpoint and resume from it."
            )
        # Left half-written by a process that was killed.
        for path in self.folder.glob(".tmp-step-*.keras"):
            path.unlink()
        self._saved_at = self.clock()

    def on_step_end(self, step: int, logs: dict[str, Any]) -> None:
        is_due = self.is_due(self.every_steps)
        waited = self.clock() - self._saved_at >= self.every_seconds
        if (is_due and waited) or step in self._best_steps():
            self._save()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        # If an optimizer has `use_ema`, `fit` puts the averages in place of
        # the weights after this. To resume, both are needed.
        if self.model.stop_training or epoch + 1 == self.params["epochs"]:
            self._save_last()

    def on_train_end(self, logs: Logs = None) -> None:
        # If a later callback has ended the training at the end of an epoch.
        self._save_last()

    def _save_last(self) -> None:
        if self.step != self._saved_step:
            self._save()

    def _save(self) -> None:
        for weight in self.model.weights:
            if not np.isfinite(weight).all():
                raise FloatingPointError(
                    f"Weights must be finite. Received: {weight.path} with NaN "
                    f"or infinity after step {self.step}, where the training "
                    f"was stopped. {last_good_checkpoint(self.folder)}"
                )
        path = checkpoint_path(self.folder, self.step)
        with atomic_write(path) as temporary:
            self.model.save(temporary)
        self._saved_step = self.step
        self._saved_at = self.clock()
        best_steps = self._best_steps()
        for step in checkpoint_steps(self.folder)[:-2]:
            if step not in best_steps:
                os.unlink(checkpoint_path(self.folder, step))

    def _best_steps(self) -> list[int]:
        return [] if self.keep_best is None else self.keep_best.best_steps[-2:]


def last_good_checkpoint(folder: StrPath | None) -> str:
    """Says which checkpoint of a folder, or `None`, to resume from."""
    if folder is None or not (steps := checkpoint_steps(folder)):
        return "There is no checkpoint yet."
    return f"The last good checkpoint is {checkpoint_path(folder, steps[-1])}."


def checkpoint_steps(folder: StrPath) -> list[int]:
    """Lists the steps of the checkpoints in a folder, in rising order.

    The folder need not be there.
    """
    folder = pathlib.Path(folder)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    matches = [_FILE_PATTERN.fullmatch(name) for name in names]
    return sorted(int(match[1]) for match in matches if match)


def checkpoint_path(folder: StrPath, step: int) -> pathlib.Path:
    """Returns the path of the checkpoint of a step."""
    return pathlib.Path(folder) / f"step-{step:08d}.keras"
