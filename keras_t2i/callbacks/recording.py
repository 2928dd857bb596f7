"""What a run tells of itself: metrics, images, signs of failure."""

import json
import pathlib
import time
import warnings
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import PIL.Image
import tensorflow as tf

from keras_t2i.callbacks.checkpoints import KeepBest
from keras_t2i.callbacks.checkpoints import Logs
from keras_t2i.callbacks.checkpoints import StepCallback
from keras_t2i.callbacks.checkpoints import assign_values
from keras_t2i.callbacks.checkpoints import metric_values
from keras_t2i.checks import check_not_negative
from keras_t2i.checks import check_whole_number
from keras_t2i.files import atomic_write
from keras_t2i.plots.grids import image_grid
from keras_t2i.types import StrPath

RECORDED_STEPS = 10
# An accuracy this close to 0 or 1 counts as 0 or 1. Of the 640 images of ten
# steps, the discriminator of a failed training misjudges two or three.
_MARGIN = 0.02
# Below this diversity, images of different captions look alike.
_LEAST_DIVERSITY = 0.2


class RunRecorder(StepCallback):
    """Appends the metrics of every few steps to a file, one JSON per line.

    A line holds `step`, `epoch`, `seconds` and the mean of each of the model's
    metrics since the line before. The metrics are reset after each line. For
    each epoch, `fit` returns the metrics of the line that is written at its
    end, or else those of the steps since the last line. Callbacks that
    monitor metrics at the end of an epoch come after this one. A training that
    ends between two lines writes one more for its last steps. When it is
    resumed, the next line covers these steps too, as if it had not been
    interrupted.

    Args:
        path: path of the file.
        steps_per_epoch: int.
        every_steps: int. Defaults to `10`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.
        first_seconds: float. Seconds trained before `fit`. Defaults to `0`.
        keep_best: `KeepBest`, which comes before this callback. The seconds do
            not include its time. Defaults to `None`.
        agreed: function of the seconds of a line to those to record, such as
            those that several workers agree on. Defaults to `None`: they are
            recorded as they are.

    Attributes:
        recorded_seconds: float. `seconds` of the last line.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        path: StrPath,
        steps_per_epoch: int,
        every_steps: int = RECORDED_STEPS,
        first_step: int = 0,
        first_seconds: float = 0.0,
        keep_best: KeepBest | None = None,
        agreed: Callable[[float], float] | None = None,
    ) -> None:
        super().__init__(first_step)
        check_whole_number(steps_per_epoch, "steps_per_epoch", at_least=1)
        check_whole_number(every_steps, "every_steps", at_least=1)
        check_not_negative(first_seconds=first_seconds)
        self.path = path
        self.steps_per_epoch = steps_per_epoch
        self.every_steps = every_steps
        self.recorded_seconds = first_seconds
        self.keep_best = keep_best
        self.agreed = agreed
        self._first_seconds = first_seconds
        self._started: float | None = None
        self._logs: dict[str, Any] = {}
        self._metric_values: list[tuple[keras.Variable, np.ndarray]] = []

    @property
    def seconds(self) -> float:
        """Seconds trained so far, those before `fit` included."""
        if self._started is None:
            return self._first_seconds
        seconds = time.monotonic() - self._started
        if self.keep_best is not None:
            seconds -= self.keep_best.seconds
        return self._first_seconds + seconds

    def on_train_begin(self, logs: Logs = None) -> None:
        pathlib.Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        self._started = time.monotonic()
        # Those of an earlier `fit`, which an `evaluate` since then has reset.
        if not self._metric_values:
            self._keep_metrics()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        super().on_epoch_begin(epoch, logs)
        assign_values(self._metric_values)
        self._metric_values = []

    def on_test_begin(self, logs: Logs = None) -> None:
        self._keep_metrics()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        # A validation has reset the metrics, and they are kept already. They
        # are put back at once, for a checkpoint at the end of `fit`.
        if not self._metric_values:
            self._keep_metrics()
        assign_values(self._metric_values)
        if logs is not None and self.is_due(self.every_steps):
            # `fit` has read the metrics after their reset.
            values = {name: float(value) for name, value in self._logs.items()}
            logs.update(values)

    def _keep_metrics(self) -> None:
        """Keeps the metrics of the steps since the last line.

        `fit` resets them at each epoch and validation, but a line covers all
        steps since the one before.
        """
        if not self.is_due(self.every_steps):
            self._metric_values = metric_values(self.model)

    def on_train_end(self, logs: Logs = None) -> None:
        if self._logs and not self.is_due(self.every_steps):
            self._write(self.step, self._logs)
        # A later `fit` goes on from here.
        self._keep_metrics()
        self._first_seconds = self.seconds
        self._started = None

    def on_step_end(self, step: int, logs: dict[str, Any]) -> None:
        self._logs = logs
        if self.is_due(self.every_steps):
            self._write(step, logs)
            self.model.reset_metrics()

    def _write(self, step: int, logs: dict[str, Any]) -> None:
        seconds = self.seconds
        if self.agreed is not None:
            seconds = self.agreed(seconds)
        self.recorded_seconds = round(seconds, 3)
        line = {
            "step": step,
            "epoch": step // self.steps_per_epoch,
            "seconds": self.recorded_seconds,
            **{name: float(value) for name, value in logs.items()},
        }
        # One write per line: a kill can only leave the last line incomplete.
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class ImageGrid(StepCallback):
    """Writes `step-00001230.png`: generated images of given captions.

    All grids have the same captions and noise, so they show the progress of
    the training.

    Args:
        folder: path of the folder to write to.
        captions: list of strings, one per row.
        images_per_caption: int. Defaults to `6`.
        every_steps: int. Defaults to `250`. One more grid is written at the
            end.
        seed: int. Image `k` of each caption has the seed `seed + k`. Defaults
            to `0`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.
        text_embeddings: float array of shape `(num_captions, dim)`, to
            generate from in place of the captions. Defaults to `None`.

    Raises:
        ValueError: `captions` is one string, or a number is out of range.
    """

    def __init__(
        self,
        folder: StrPath,
        captions: Sequence[str],
        images_per_caption: int = 6,
        every_steps: int = 250,
        seed: int = 0,
        first_step: int = 0,
        text_embeddings: np.ndarray | None = None,
    ) -> None:
        super().__init__(first_step)
        check_whole_number(images_per_caption, "images_per_caption", at_least=1)
        check_whole_number(every_steps, "every_steps", at_least=1)
        check_whole_number(seed, "seed", at_least=0)
        if isinstance(captions, str):
            raise ValueError(
                "`captions` must be a list of strings. Received: one string, "
                f"{captions[:40]!r}"
            )
        self.folder = pathlib.Path(folder)
        self.captions = list(captions)
        self.text_embeddings = text_embeddings
        self.images_per_caption = images_per_caption
        self.every_steps = every_steps
        self.seed = seed

    def on_step_end(self, step: int, logs: dict[str, Any]) -> None:
        if self.is_due(self.every_steps):
            self._write()

    def on_train_end(self, logs: Logs = None) -> None:
        self._write()

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_grid(
            self.folder / f"step-{self.step:08d}.png",
            self.model,
            self.captions,
            self.images_per_caption,
            self.seed,
            self.text_embeddings,
        )


def write_grid(
    path: pathlib.Path,
    model: Any,
    captions: Sequence[str],
    columns: int,
    seed: int = 0,
    text_embeddings: np.ndarray | None = None,
) -> None:
    """Writes a PNG file of images of captions, as `ImageGrid` does."""
    seeds = np.tile(seed + np.arange(columns), len(captions))
    if text_embeddings is None:
        texts = np.repeat(captions, columns).tolist()
        images = model.generate(texts, seed=seeds)
    else:
        embeddings = np.repeat(text_embeddings, columns, axis=0)
        images = model.generate_from_embeddings(embeddings, seeds)
    shape = (len(captions), columns, *images.shape[1:])
    figure = image_grid(images.reshape(shape), captions)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


class CollapseWarning(StepCallback):
    """Warns once for each way in which a GAN fails without an error.

    There are four. All generated images are alike. The discriminator tells all
    real and generated images apart, and the generator learns nothing from it.
    The discriminator takes all generated images for real. Or it takes all real
    images for generated. Each also occurs for a short time at the start of a
    training, so it must last to be reported.

    The metrics are read every ten steps. In a run they are then means of ten
    steps, not of one batch.

    Args:
        patience: int. Steps in a row. Defaults to `500`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(self, patience: int = 500, first_step: int = 0) -> None:
        super().__init__(first_step)
        check_whole_number(patience, "patience", at_least=1)
        self.patience = patience
        self._read = first_step
        self._since: dict[str, int] = {}
        self._warned: set[str] = set()

    def on_step_end(self, step: int, logs: dict[str, Any]) -> None:
        # An execution of several steps may pass a multiple of this number.
        if step // RECORDED_STEPS == self._read // RECORDED_STEPS:
            return
        self._read = step
        for sign, shows in _signs(logs).items():
            since = self._since.setdefault(sign, step)
            if not shows:
                del self._since[sign]
            elif step - since >= self.patience and sign not in self._warned:
                self._warned.add(sign)
                warnings.warn(
                    f"For {step - since} steps, until step {step}, {sign}. "
                    "docs/troubleshooting.md says what that means and what to "
                    "change.",
                    stacklevel=2,
                )


def _signs(logs: dict[str, Any]) -> dict[str, bool]:
    real = logs["real_accuracy"]
    generated = logs["generated_accuracy"]
    return {
        "the generated images have been nearly alike (diversity below "
        f"{_LEAST_DIVERSITY} of that of real ones)": (
            logs["diversity"] < _LEAST_DIVERSITY
        ),
        "the discriminator has told all real and generated images apart "
        "(both accuracies at 1)": min(real, generated) > 1.0 - _MARGIN,
        "the discriminator has taken all generated images for real ones "
        "(generated_accuracy at 0)": generated < _MARGIN,
        "the discriminator has taken all real images for generated ones "
        "(real_accuracy at 0)": real < _MARGIN,
    }


class TensorBoardWriter(StepCallback):
    """Writes an event file of what `RunRecorder` and `ImageGrid` write.

    TensorFlow itself has the writer: only reading the file needs TensorBoard.
    This callback comes after the `RunRecorder` and the `ImageGrid`, whose
    files and steps it takes. A resumed training adds a file to the folder.

    Args:
        folder: path of the folder to write to.
        samples: path of the folder of an `ImageGrid`, which need not be there.
        every_steps: int. That of the `RunRecorder`. Defaults to `10`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        folder: StrPath,
        samples: StrPath,
        every_steps: int = RECORDED_STEPS,
        first_step: int = 0,
    ) -> None:
        super().__init__(first_step)
        check_whole_number(every_steps, "every_steps", at_least=1)
        self.folder = pathlib.Path(folder)
        self.samples = pathlib.Path(samples)
        self.every_steps = every_steps
        self._logs: dict[str, float] = {}
        self._image_step = first_step
        self._writer: Any = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._writer = tf.summary.create_file_writer(str(self.folder))

    def on_step_end(self, step: int, logs: dict[str, float]) -> None:
        self._logs = dict(logs)
        if self.is_due(self.every_steps):
            self._write_scalars()
        self._write_image()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self._logs and not self.is_due(self.every_steps):
            self._write_scalars()
        self._write_image()
        self._writer.close()

    def _write_scalars(self) -> None:
        self._write(
            [
                tf.compat.v1.Summary.Value(tag=name, simple_value=float(value))
                for name, value in self._logs.items()
            ]
        )

    def _write_image(self) -> None:
        path = self.samples / f"step-{self.step:08d}.png"
        if self.step == self._image_step or not path.is_file():
            return
        with PIL.Image.open(path) as image:
            samples = tf.compat.v1.Summary.Image(
                width=image.width,
                height=image.height,
                colorspace=len(image.getbands()),
                encoded_image_string=path.read_bytes(),
            )
        self._write([tf.compat.v1.Summary.Value(tag="samples", image=samples)])
        self._image_step = self.step

    def _write(self, values: list[tf.compat.v1.Summary.Value]) -> None:
        # Not `tf.summary.scalar`, which needs the package tensorboard.
        summary = tf.compat.v1.Summary(value=values).SerializeToString()
        with self._writer.as_default():
            tf.summary.experimental.write_raw_pb(summary, step=self.step)
