"""What a trained GAN is used for: pictures of captions."""

import numpy as np
import tensorflow as tf

from keras_t2i.checks import check_whole_number
from keras_t2i.models.captions_and_seeds import checked_captions
from keras_t2i.models.captions_and_seeds import checked_seeds
from keras_t2i.models.drawing import draw
from keras_t2i.models.drawing import draw_between
from keras_t2i.models.drawing import draw_in_style
from keras_t2i.models.style_encoder import check_style_encoder

_BATCH_SIZE = 64

_TEXTS = tf.TensorSpec([None], tf.string)
_SEEDS = tf.TensorSpec([None], tf.int64)
_WEIGHTS = tf.TensorSpec([None], tf.float32)


class PictureDrawing:
    """The drawing methods of `TextToImageGAN`."""

    def generate(self, captions, seed=0, batch_size=_BATCH_SIZE):
        """Draws one picture for each caption.

        Args:
            captions: string, or list, NumPy array or tensor of strings.
            seed: int, which gives picture `i` the seed `seed + i`, or one int
                a caption. The same caption and seed give the same picture.
                Defaults to `0`.
            batch_size: int. Pictures drawn at a time. Defaults to `64`.

        Returns:
            uint8 array of shape `(num_captions, image_size, image_size, 3)`.

        Raises:
            ValueError: a caption is empty, the seeds do not fit, or
                `batch_size` is no whole number above 0.
        """
        captions = checked_captions(captions)
        seeds = checked_seeds(seed, len(captions))
        check_whole_number(batch_size, "batch_size", at_least=1)
        return _in_batches(self._draw, batch_size, captions, seeds)

    def interpolate(self, captions_from, captions_to, steps=8, seed=0):
        """Draws the way from each caption to another one, at fixed noise.

        The embeddings are interpolated linearly.

        Args:
            captions_from: captions, as in `generate`. The first picture of
                row `i` is that of `generate`.
            captions_to: captions, as many. The last picture of row `i` is that
                of `generate`.
            steps: int, at least 2. Pictures a row, both ends included.
                Defaults to `8`.
            seed: int or ints, as in `generate`. One a row, for all of its
                pictures. Defaults to `0`.

        Returns:
            uint8 array of shape
            `(num_captions, steps, image_size, image_size, 3)`.

        Raises:
            ValueError: there are not as many captions to go to, a caption is
                empty, the seeds do not fit, or there are too few steps.

        Reference:
            - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
        """
        captions_from = checked_captions(captions_from)
        captions_to = checked_captions(captions_to)
        if len(captions_from) != len(captions_to):
            raise ValueError(
                "`captions_to` must hold one caption for each of "
                f"`captions_from`. Received: {len(captions_from)} and "
                f"{len(captions_to)} captions"
            )
        seeds = checked_seeds(seed, len(captions_from))
        return self._way(
            steps,
            lambda weight: (
                (captions_from, captions_to, weight)
                + (seeds, seeds, np.zeros_like(weight))
            ),
            len(captions_from),
        )

    def interpolate_noise(self, captions, seed_from, seed_to, steps=8):
        """Draws the way from one noise to another, for fixed captions.

        The noise is interpolated spherically: on the straight line lies noise
        that is shorter than any the generator has seen.

        Args:
            captions: captions, as in `generate`.
            seed_from: int or ints, as in `generate`. The first picture of row
                `i` is that of `generate`.
            seed_to: int or ints. The last picture of row `i` is that of
                `generate`. Equal to `seed_from`, all pictures are alike.
            steps: int, at least 2. Pictures a row, both ends included.
                Defaults to `8`.

        Returns:
            uint8 array of shape
            `(num_captions, steps, image_size, image_size, 3)`.

        Raises:
            ValueError: a caption is empty, the seeds do not fit, or there are
                too few steps.

        Reference:
            - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
        """
        captions = checked_captions(captions)
        seeds_from = checked_seeds(seed_from, len(captions), "seed_from")
        seeds_to = checked_seeds(seed_to, len(captions), "seed_to")
        return self._way(
            steps,
            lambda weight: (
                (captions, captions, np.zeros_like(weight))
                + (seeds_from, seeds_to, weight)
            ),
            len(captions),
        )

    def transfer_style(self, style_images, captions, style_encoder):
        """Draws each caption in the style of each of the given pictures.

        Args:
            style_images: uint8 array of shape
                `(num_styles, image_size, image_size, 3)`.
            captions: captions, as in `generate`.
            style_encoder: `StyleEncoder` that was trained to invert this GAN,
                or another `keras.Model` from images in [-1, 1] to noise.

        Returns:
            uint8 array of shape
            `(num_styles, num_captions, image_size, image_size, 3)`.

        Raises:
            ValueError: a caption is empty, or the pictures or the style encoder
                do not fit this GAN.

        Reference:
            - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section
              4.4.
        """
        captions = checked_captions(captions)
        style_images = self._checked_style_images(style_images)
        check_style_encoder(style_encoder, self)
        num_styles, num_captions = len(style_images), len(captions)
        pictures = _in_batches(
            lambda texts, images: self._draw_in_style(
                style_encoder, texts, images
            ),
            _BATCH_SIZE,
            np.tile(captions, num_styles),
            np.repeat(style_images, num_captions, axis=0),
        )
        return pictures.reshape(num_styles, num_captions, *pictures.shape[1:])

    @tf.function(input_signature=(_TEXTS, _SEEDS), jit_compile=False)
    def _draw(self, captions, seeds):
        return draw(self, captions, seeds)

    @tf.function(
        input_signature=(_TEXTS, _TEXTS, _WEIGHTS, _SEEDS, _SEEDS, _WEIGHTS),
        jit_compile=False,
    )
    def _draw_between(self, *arguments):
        return draw_between(self, *arguments)

    # One trace for each style encoder and, by this relaxation, for two sizes
    # of batches.
    @tf.function(reduce_retracing=True, jit_compile=False)
    def _draw_in_style(self, style_encoder, captions, style_images):
        return draw_in_style(self, style_encoder, captions, style_images)

    def _way(self, steps, arguments, num_rows):
        """Draws so many steps, the rows of each as `generate` would."""
        whole = isinstance(steps, (int, np.integer))
        if not whole or isinstance(steps, bool) or steps < 2:
            raise ValueError(
                "`steps` must be a whole number of at least 2, both ends "
                f"included. Received: {steps!r}"
            )
        pictures = []
        # In batches of `generate`'s size, so that the ends have its bytes.
        for weight in np.linspace(0.0, 1.0, steps, dtype="float32"):
            rows = arguments(np.full(num_rows, weight))
            pictures.append(_in_batches(self._draw_between, _BATCH_SIZE, *rows))
        return np.stack(pictures, axis=1)

    def _checked_style_images(self, images):
        images = np.asarray(images)
        shape = (self.image_size, self.image_size, 3)
        if (
            images.dtype != np.uint8
            or images.shape[1:] != shape
            or not len(images)
        ):
            raise ValueError(
                "`style_images` must be uint8 of shape (num_styles, "
                f"{', '.join(map(str, shape))}), at least one. Received: "
                f"{images.dtype} of shape {images.shape}"
            )
        return images


def _in_batches(function, batch_size, *arrays):
    pictures = []
    for start in range(0, len(arrays[0]), batch_size):
        rows = (array[start : start + batch_size] for array in arrays)
        pictures.append(function(*map(tf.constant, rows)).numpy())
    return np.concatenate(pictures)
