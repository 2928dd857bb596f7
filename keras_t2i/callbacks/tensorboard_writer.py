"""Writes the metrics and the sample images for TensorBoard."""

import pathlib
from typing import Any

import PIL.Image
import tensorflow as tf

from keras_t2i.callbacks.recording import RECORDED_STEPS
from keras_t2i.callbacks.step_callback import StepCallback
from keras_t2i.types import StrPath


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
    """

    def __init__(
        self,
        folder: StrPath,
        samples: StrPath,
        every_steps: int = RECORDED_STEPS,
        first_step: int = 0,
    ) -> None:
        super().__init__(first_step)
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
        if step % self.every_steps == 0:
            self._write_scalars()
        self._write_image()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self.step % self.every_steps and self._logs:
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
