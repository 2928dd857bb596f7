"""Saves the whole state of a training, now and then."""

import os
import pathlib
import re
import time

import numpy as np

from keras_t2i.callbacks.step_callback import StepCallback
from keras_t2i.files import replace_when_whole

_FILE_PATTERN = re.compile(r"step-(\d{8})\.keras")


class Checkpoints(StepCallback):
    """Saves the model, its optimizers included, as `step-00001230.keras`.

    A checkpoint is either whole or not there, and the newest two are kept.
    Weights that are not finite are not saved.

    With `keep_best`, there is a checkpoint of the last two of its best steps
    too. Whichever of the newest two a training goes on from, that of the best
    step until then is there.

    Args:
        folder: path of the folder to save to.
        every_steps: int. Checkpoints are made after a multiple of so many
            steps, and at the end. Defaults to `10`, as `RunRecorder`: what a
            run has recorded then ends with its checkpoint.
        every_seconds: float. At least so many seconds apart. Defaults to `60`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.
        keep_best: `KeepBest`, which comes before this one. Defaults to `None`.

    Raises:
        ValueError: from `fit`, where the folder holds checkpoints of later
            steps than `first_step`: they would pass for the newest ones.
        FloatingPointError: from `fit`, where a weight is not finite.
    """

    def __init__(
        self,
        folder,
        every_steps=10,
        every_seconds=60.0,
        first_step=0,
        keep_best=None,
    ):
        super().__init__(first_step)
        self.folder = pathlib.Path(folder)
        self.every_steps = every_steps
        self.every_seconds = every_seconds
        self.keep_best = keep_best
        self._saved_step = first_step
        self._saved_at = None

    def on_train_begin(self, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        newest = max(checkpoint_steps(self.folder), default=0)
        if newest > self._saved_step:
            raise ValueError(
                "`folder` must hold no checkpoints of later steps than "
                f"`first_step`. Received: first_step={self._saved_step} and "
                f"{str(self.folder)!r}, which holds one of step {newest}. Name "
                "another folder, or load that checkpoint and go on from it."
            )
        # What a killed process has left half-written.
        for path in self.folder.glob(".tmp-step-*.keras"):
            path.unlink()
        self._saved_at = time.monotonic()

    def on_step_end(self, step, logs):
        waited = time.monotonic() - self._saved_at
        is_due = step % self.every_steps == 0 and waited >= self.every_seconds
        if is_due or step in self._best_steps():
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        # `fit` then puts averages in place of the weights, where an optimizer
        # has `use_ema`. What goes on needs both.
        if self.model.stop_training or epoch + 1 == self.params["epochs"]:
            self._save_last()

    def on_train_end(self, logs=None):
        # Where a later callback has ended the training with an epoch.
        self._save_last()

    def _save_last(self):
        if self.step != self._saved_step:
            self._save()

    def _save(self):
        for weight in self.model.weights:
            if not np.isfinite(weight).all():
                raise FloatingPointError(
                    f"Weights must be finite. Received: {weight.path} with NaN "
                    f"or infinity after step {self.step}, where the training "
                    f"was stopped. {last_good_checkpoint(self.folder)}"
                )
        path = checkpoint_path(self.folder, self.step)
        with replace_when_whole(path) as temporary:
            self.model.save(temporary)
        self._saved_step = self.step
        self._saved_at = time.monotonic()
        best_steps = self._best_steps()
        for step in checkpoint_steps(self.folder)[:-2]:
            if step not in best_steps:
                os.unlink(checkpoint_path(self.folder, step))

    def _best_steps(self):
        return [] if self.keep_best is None else self.keep_best.best_steps[-2:]


def last_good_checkpoint(folder):
    """Says which checkpoint of a folder, or `None`, is to go on from."""
    steps = [] if folder is None else checkpoint_steps(folder)
    if not steps:
        return "There is no checkpoint yet."
    path = checkpoint_path(folder, steps[-1])
    return f"The last good checkpoint is {path}."


def checkpoint_steps(folder):
    """Lists the steps of the checkpoints in a folder.

    Args:
        folder: path. It need not be there.

    Returns:
        list of ints, in rising order.
    """
    folder = pathlib.Path(folder)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    matches = [_FILE_PATTERN.fullmatch(name) for name in names]
    return sorted(int(match[1]) for match in matches if match)


def checkpoint_path(folder, step):
    """Returns the path of the checkpoint of a step."""
    return pathlib.Path(folder) / f"step-{step:08d}.keras"
