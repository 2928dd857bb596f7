"""What is done to the images that a discriminator is trained on."""

import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_t2i.checks import check_not_negative
from keras_t2i.models.batch_texts import GeneratorTexts
from keras_t2i.models.noise import StepNoise
from keras_t2i.types import Tensor


@keras.saving.register_keras_serializable("keras_t2i")
class ImageNoise(keras.layers.Layer):
    """Adds normal noise, whose deviation falls with the steps.

    `deviation` is the standard deviation at the first step. It falls to half in
    `half_life` steps, or not at all if that is `None`.

    Call input: images; the noise of the step (`StepNoise`); which of its
    streams; and the rows, as in `StepNoise.normal`. Output: images.
    """

    def __init__(
        self, deviation: float, half_life: int | None = None, **kwargs: Any
    ) -> None:
        check_not_negative(image_noise=deviation)
        if half_life is not None and half_life < 1:
            raise ValueError(
                "`image_noise_half_life` must be at least 1, or None. "
                f"Received: {half_life!r}"
            )
        super().__init__(**{"dtype": "float32", **kwargs})
        self.deviation = deviation
        self.half_life = half_life
        self.built = True

    def call(
        self,
        images: Tensor,
        noise: StepNoise,
        stream: int,
        rows: Tensor | GeneratorTexts,
    ) -> Tensor:
        if not self.deviation:
            return images
        shape = images.shape[1:]
        deviation = self.deviation
        if self.half_life is not None:
            half_lives = ops.cast(noise.step, "float32") / self.half_life
            deviation *= 0.5**half_lives
        values = noise.normal(stream, rows, math.prod(shape))
        return images + deviation * ops.reshape(values, (-1, *shape))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "deviation": self.deviation,
            "half_life": self.half_life,
        }


def augment(
    images: Tensor, uniform: Tensor, translation: float, cutout: float
) -> Tensor:
    """Shifts images and cuts a square out of them; gradients pass through.

    Colors stay as they are: captions name them.

    Args:
        images: float tensor of shape `(batch, size, size, channels)`, in
            [-1, 1].
        uniform: float tensor of shape `(batch, 4)`, in [0, 1): where the image
            is shifted to and where the square lies, down and right each.
        translation: float in [0, 1). The largest shift, as a share of the side.
            What comes in from outside is mid-gray.
        cutout: float in [0, 1). Side of the square, which becomes mid-gray, as
            a share of the image's. Its center lies anywhere in the image.

    Returns:
        Tensor of the same shape.

    Reference:
        - [Zhao et al., 2020](https://arxiv.org/abs/2006.10738),
          Differentiable Augmentation for Data-Efficient GAN Training.
    """
    size = images.shape[1]
    if translation:
        most = round(translation * size)
        shifts = ops.floor(uniform[:, :2] * (2 * most + 1)) - most
        images = _shifted(images, ops.cast(shifts, "int32"))
    if cutout:
        half = round(cutout * size) / 2.0
        centers = ops.floor(uniform[:, 2:] * size)[:, :, None]
        places = ops.arange(size, dtype=centers.dtype)[None, None]
        # (batch, 2, size): which rows and which columns the square has.
        inside = ops.logical_and(
            places >= centers - half, places < centers + half
        )
        square = ops.logical_and(
            inside[:, 0, :, None, None], inside[:, 1, None, :, None]
        )
        images = ops.where(square, ops.zeros_like(images), images)
    return images


@tf.custom_gradient
def _shifted(images: Tensor, shifts: Tensor) -> tuple[Tensor, Any]:
    """Shifts each image down and right, by its row of `shifts`."""

    def gradient(upstream: Tensor) -> tuple[Tensor, None]:
        # Shifted back. The gradient of a gather, a sum, is much slower.
        return _moved(
            _moved(upstream, -shifts[:, 1], 2), -shifts[:, 0], 1
        ), None

    return _moved(_moved(images, shifts[:, 0], 1), shifts[:, 1], 2), gradient


def _moved(images: Tensor, shifts: Tensor, axis: int) -> Tensor:
    """Moves each image along its rows (axis 1) or its columns (axis 2)."""
    size = images.shape[axis]
    places = tf.range(size)[None] - shifts[:, None]
    # What comes in from outside is in one row of zeros, after the others.
    inside = tf.logical_and(places >= 0, places < size)
    places = tf.where(inside, places, size)
    paddings = [[0, int(axis == other)] for other in range(4)]
    return tf.gather(tf.pad(images, paddings), places, axis=axis, batch_dims=1)
