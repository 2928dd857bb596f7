"""Measures a model while it is trained, and keeps the best one."""

import math
import pathlib
import time

from keras_t2i.callbacks.step_callback import StepCallback
from keras_t2i.files import replace_when_whole
from keras_t2i.recipes.recipe import MEASURED_STEPS


class KeepBest(StepCallback):
    """Measures the model every few steps, and keeps it where it is best.

    What it measures becomes part of the logs, each name with `val_` before it:
    of those of its step, for callbacks that come after this one, such as
    `RunRecorder`, and of those of the next ends of epochs. `EarlyStopping` and
    `ModelCheckpoint` of Keras can therefore monitor it, where they come later;
    both look at ends of epochs, while `patience` counts measurements.

    The file is either whole, as of the best step, or what it was before.

    Args:
        path: path of the .keras file to keep the best model in, its optimizers
            included.
        measure: function of the model to a dict of names to floats, such as
            `keras_t2i.evaluation.QuickEvaluation.measure`.
        monitor: string. What decides, as it is called in the logs, such as
            `"val_kernel_distance"`.
        mode: `"min"` or `"max"`: whether less or more of it is better.
            Defaults to `"min"`.
        every_steps: int. Defaults to `250`.
        patience: int. Stop `fit` after so many measurements in a row that are
            not better than the best one. Defaults to `None`: never.
        first_step: int. Steps trained before `fit`. Defaults to `0`.
        earlier: list of pairs of a step and of what `monitor` was after it, in
            rising order: what was measured before `fit`, which goes on from
            there. Defaults to none.

    Attributes:
        best: float. The best value, `None` before the first one.
        best_step: int. Its step, `None` before the first one.
        best_steps: list of ints. The steps that were the best so far, the best
            one last.
        seconds: float. What measuring and keeping has taken in this `fit`.

    Raises:
        ValueError: `mode` is none of these, `path` is no .keras file or a
            number is below 1; or, from `fit`, what was measured is not finite
            or lacks `monitor`.
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
        path,
        measure,
        monitor,
        mode="min",
        every_steps=MEASURED_STEPS,
        patience=None,
        first_step=0,
        earlier=(),
    ):
        super().__init__(first_step)
        if mode not in ("min", "max"):
            raise ValueError(
                f'`mode` must be "min" or "max". Received: {mode!r}'
            )
        if pathlib.Path(path).suffix != ".keras":
            raise ValueError(
                f"`path` must be that of a .keras file. Received: {str(path)!r}"
            )
        for name, value in (
            ("every_steps", every_steps),
            ("patience", patience),
        ):
            if value is not None and value < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {value!r}"
                )
        self.path = pathlib.Path(path)
        self.measure = measure
        self.monitor = monitor
        self.mode = mode
        self.every_steps = every_steps
        self.patience = patience
        self.best = None
        self.best_steps = []
        self.seconds = 0.0
        self._num_not_better = 0
        self._results = {}
        for step, value in earlier:
            self._remember(step, value)

    @property
    def best_step(self):
        return self.best_steps[-1] if self.best_steps else None

    def on_train_begin(self, logs=None):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.seconds = 0.0

    def on_step_end(self, step, logs):
        if step % self.every_steps:
            return
        started = time.monotonic()
        self._results = self._measured()
        value = self._results[self.monitor]
        if self._is_better(value):
            with replace_when_whole(self.path) as temporary:
                self.model.save(temporary)
        self._remember(step, value)
        logs.update(self._results)
        if self.patience is not None:
            if self._num_not_better >= self.patience:
                self.model.stop_training = True
        self.seconds += time.monotonic() - started

    def on_epoch_end(self, epoch, logs=None):
        # `fit` has other logs there, and so have Keras' own callbacks.
        if logs is not None:
            logs.update(self._results)

    def _measured(self):
        results = {
            f"val_{name}": float(value)
            for name, value in self.measure(self.model).items()
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

    def _is_better(self, value):
        if self.best is None:
            return True
        return value < self.best if self.mode == "min" else value > self.best

    def _remember(self, step, value):
        if self._is_better(value):
            self.best = value
            self.best_steps.append(step)
            self._num_not_better = 0
        else:
            self._num_not_better += 1
