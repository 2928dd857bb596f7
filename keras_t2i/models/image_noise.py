"""Noise on the images that a discriminator is trained on."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_t2i")
class ImageNoise(keras.layers.Layer):
    """Adds normal noise, whose deviation falls with the steps.

    Args:
        deviation: float. Standard deviation at the first step.
        half_life: int. Steps after which the deviation has fallen to half, and
            again to half of that. Defaults to `None`: it does not fall.

    Call input: images; the noise of the step (`StepNoise`); which of its
    streams; and the rows, as in `StepNoise.normal`. Output: images.
    """

    def __init__(self, deviation, half_life=None, **kwargs):
        if deviation < 0.0:
            raise ValueError(
                f"`image_noise` must be at least 0. Received: {deviation!r}"
            )
        if half_life is not None and half_life < 1:
            raise ValueError(
                "`image_noise_half_life` must be at least 1, or None. "
                f"Received: {half_life!r}"
            )
        super().__init__(**{"dtype": "float32", **kwargs})
        self.deviation = deviation
        self.half_life = half_life
        self.built = True

    def call(self, images, noise, stream, rows):
        if not self.deviation:
            return images
        shape = images.shape[1:]
        deviation = self.deviation
        if self.half_life is not None:
            half_lives = ops.cast(noise.step, "float32") / self.half_life
            deviation *= 0.5**half_lives
        values = noise.normal(stream, rows, math.prod(shape))
        return images + deviation * ops.reshape(values, (-1, *shape))

    def get_config(self):
        return {
            **super().get_config(),
            "deviation": self.deviation,
            "half_life": self.half_life,
        }
