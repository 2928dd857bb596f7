"""From captions to images: what a trained GAN generates.

`TextToImageGAN` and the exported SavedModel trace the same functions, so a
caption and a seed give the same image everywhere. In these functions captions
are string tensors in UTF-8 and seeds int64 tensors, both of shape `(batch,)`;
images are uint8 of shape `(batch, size, size, 3)`. Each image depends on its
own caption and seed alone, whatever else is in the batch.
"""

import functools
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_t2i.checks import check_whole_number
from keras_t2i.datasets.images import to_model_range
from keras_t2i.datasets.images import to_uint8
from keras_t2i.models.noise import noise_from_seeds
from keras_t2i.models.noise import seeds_of_rows
from keras_t2i.models.noise import slerp
from keras_t2i.models.style_encoder import check_style_encoder
from keras_t2i.text.embeddings import check_reads_texts
from keras_t2i.text.embeddings import checked_embeddings
from keras_t2i.text.embeddings import encode_captions
from keras_t2i.tokenizers import tokenize_for
from keras_t2i.tokenizers import warn_of_unknown
from keras_t2i.types import Tensor

_BATCH_SIZE = 64

_TEXTS = tf.TensorSpec([None], tf.string)
_SEEDS = tf.TensorSpec([None], tf.int64)
_WEIGHTS = tf.TensorSpec([None], tf.float32)
_EMBEDDINGS = tf.TensorSpec([None, None], tf.float32)
_SCALAR = tf.TensorSpec([], tf.float32)
# AutoGraph is off. No graph of this library has a Python `if` or loop on
# tensors, and converting its functions takes a quarter of the time of a first
# image, imports left out.
graph = functools.partial(tf.function, autograph=False, jit_compile=False)


class Interpolation(NamedTuple):
    """The way from one text and seed to another, for several rows.

    Texts and seeds have the shape `(num_rows,)`. The weights, of shape
    `(steps,)`, are those of the second text and of the second seed.
    """

    text_from: np.ndarray
    text_to: np.ndarray
    text_weight: np.ndarray
    seed_from: np.ndarray
    seed_to: np.ndarray
    noise_weight: np.ndarray


def embed_text(gan: keras.Model, text: Tensor) -> Tensor:
    """Embeds texts, as float32 of shape `(batch, text_embedding_dim)`."""
    token_ids = tokenize_for(gan.text_encoder, text)
    embeddings = gan.text_encoder(token_ids, training=False)
    return ops.cast(embeddings, "float32")


def generate_from_texts(
    gan: keras.Model, truncation: Tensor, text: Tensor, seeds: Tensor
) -> Tensor:
    """Generates one image for each text and seed.

    The noise is multiplied by the scalar `truncation`, as in the next two.
    """
    return generate_from_embeddings(
        gan, truncation, embed_text(gan, text), seeds
    )


def generate_from_embeddings(
    gan: keras.Model, truncation: Tensor, text_embeddings: Tensor, seeds: Tensor
) -> Tensor:
    """Generates one image for each text embedding and seed."""
    noise = truncation * noise_from_seeds(seeds, gan.noise_dim)
    return _images(gan, text_embeddings, noise)


def generate_interpolated(
    gan: keras.Model,
    truncation: Tensor,
    text_from: Tensor,
    text_to: Tensor,
    text_weight: Tensor,
    seed_from: Tensor,
    seed_to: Tensor,
    noise_weight: Tensor,
) -> Tensor:
    """Generates images between two texts and between two seeds.

    Text embeddings are interpolated linearly, noise by slerp. Weights are
    float32 of shape `(batch,)`: 0 is `text_from` or `seed_from`, 1 is `text_to`
    or `seed_to`.
    """
    weight = text_weight[:, None]
    text_embeddings = (1.0 - weight) * embed_text(
        gan, text_from
    ) + weight * embed_text(gan, text_to)
    noise = truncation * slerp(
        noise_from_seeds(seed_from, gan.noise_dim),
        noise_from_seeds(seed_to, gan.noise_dim),
        noise_weight,
    )
    return _images(gan, text_embeddings, noise)


def generate_in_style(
    gan: keras.Model,
    style_encoder: keras.Model,
    text: Tensor,
    style_images: Tensor,
) -> Tensor:
    """Generates one image for each text, in the style of another image.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.4.
    """
    noise = style_encoder(to_model_range(style_images), training=False)
    return _images(gan, embed_text(gan, text), ops.cast(noise, "float32"))


def _images(gan: keras.Model, text_embeddings: Tensor, noise: Tensor) -> Tensor:
    return to_uint8(gan({"text_embeddings": text_embeddings, "noise": noise}))


class ImageGeneration:
    """The methods of `TextToImageGAN` that generate images."""

    image_size: int
    text_encoder: keras.Model
    truncation: float

    def generate(
        self,
        captions: str | Iterable[str],
        seed: int | Iterable[int] = 0,
        batch_size: int = _BATCH_SIZE,
    ) -> np.ndarray:
        """Generates one image for each caption.

        Args:
            captions: string, or list, NumPy array or tensor of strings.
            seed: int, which gives image `i` the seed `seed + i`, or one int
                per caption. The same caption and seed give the same image.
                Defaults to `0`.
            batch_size: int. Images generated at a time. Defaults to `64`.

        Returns:
            uint8 array of shape `(num_captions, image_size, image_size, 3)`.

        Raises:
            ValueError: a caption is empty, the seeds do not fit,
                `batch_size` is not a whole number above 0, or the GAN reads
                no texts (`keras_t2i.text.PrecomputedEmbeddings`).
        """
        captions = self._encoded(captions)
        seeds = seeds_of_rows(seed, len(captions))
        check_whole_number(batch_size, "batch_size", at_least=1)
        return _in_batches(
            functools.partial(self._generate, self.truncation),
            batch_size,
            captions,
            seeds,
        )

    def generate_from_embeddings(
        self, text_embeddings: np.ndarray, seed: int | Iterable[int] = 0
    ) -> np.ndarray:
        """Generates one image for each text embedding.

        Args:
            text_embeddings: float array of shape `(num_texts, dim)`, such as
                `keras_t2i.text.embed_texts` makes.
            seed: int or ints, as in `generate`.

        Returns:
            uint8 array of shape `(num_texts, image_size, image_size, 3)`.

        Raises:
            ValueError: the embeddings are not as the GAN was trained on, or
                the seeds do not fit.
        """
        dim = self.text_encoder.output_shape[-1]
        rows = checked_embeddings(text_embeddings, dim)
        seeds = seeds_of_rows(seed, len(rows))
        return _in_batches(
            functools.partial(self._generate_embedded, self.truncation),
            _BATCH_SIZE,
            rows,
            seeds,
        )

    def interpolate(
        self,
        captions_from: str | Iterable[str],
        captions_to: str | Iterable[str],
        steps: int = 8,
        seed: int | Iterable[int] = 0,
    ) -> np.ndarray:
        """Generates images on the way from one caption to another.

        The text embeddings are interpolated linearly; the noise is fixed.

        Args:
            captions_from: captions, as in `generate`. The first image of row
                `i` is that of `generate`.
            captions_to: captions, as many. The last image of row `i` is that
                of `generate`.
            steps: int, at least 2. Images per row, both ends included.
                Defaults to `8`.
            seed: int or ints, as in `generate`. One per row, for all of its
                images. Defaults to `0`.

        Returns:
            uint8 array of shape
            `(num_captions, steps, image_size, image_size, 3)`.

        Raises:
            ValueError: `captions_to` are not as many as `captions_from`, a
                caption is empty, the seeds do not fit, or there are too few
                steps.

        Reference:
            - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
        """
        ends = self._encoded(captions_from), self._encoded(captions_to)
        return self._interpolate(between_captions(*ends, steps, seed))

    def interpolate_noise(
        self,
        captions: str | Iterable[str],
        seed_from: int | Iterable[int],
        seed_to: int | Iterable[int],
        steps: int = 8,
    ) -> np.ndarray:
        """Generates images on the way from one noise to another.

        The noise is interpolated by slerp: noise on the straight line is
        shorter than any that the generator has seen.

        Args:
            captions: captions, as in `generate`.
            seed_from: int or ints, as in `generate`. The first image of row
                `i` is that of `generate`.
            seed_to: int or ints. The last image of row `i` is that of
                `generate`. If it equals `seed_from`, all images of the row are
                the same.
            steps: int, at least 2. Images per row, both ends included.
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
        captions = self._encoded(captions)
        return self._interpolate(
            between_noises(captions, seed_from, seed_to, steps)
        )

    def transfer_style(
        self,
        style_images: np.ndarray,
        captions: str | Iterable[str],
        style_encoder: keras.Model,
    ) -> np.ndarray:
        """Generates each caption in the style of each of the given images.

        The noise is what the style encoder finds in the images, as it is:
        `truncation`, which is of sampled noise, does not change it.

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
            ValueError: a caption is empty, or the images or the style encoder
                do not fit this GAN.

        Reference:
            - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section
              4.4.
        """
        captions = self._encoded(captions)
        style_images = np.asarray(style_images)
        shape = (self.image_size, self.image_size, 3)
        if (
            style_images.dtype != np.uint8
            or style_images.shape[1:] != shape
            or not len(style_images)
        ):
            raise ValueError(
                "`style_images` must be uint8 of shape (num_styles, "
                f"{', '.join(map(str, shape))}), at least one. Received: "
                f"{style_images.dtype} of shape {style_images.shape}"
            )
        check_style_encoder(style_encoder, self)
        num_styles, num_captions = len(style_images), len(captions)
        images = _in_batches(
            lambda *rows: self._generate_in_style(style_encoder, *rows),
            _BATCH_SIZE,
            np.tile(captions, num_styles),
            np.repeat(style_images, num_captions, axis=0),
        )
        return images.reshape(num_styles, num_captions, *shape)

    def _encoded(self, captions: Any) -> np.ndarray:
        check_reads_texts(self.text_encoder)
        encoded = encode_captions(captions)
        texts = [caption.decode("utf-8", "replace") for caption in encoded]
        warn_of_unknown(self.text_encoder, texts)
        return encoded

    @graph(input_signature=(_SCALAR, _EMBEDDINGS, _SEEDS))
    def _generate_embedded(
        self, truncation: Tensor, embeddings: Tensor, seeds: Tensor
    ) -> Tensor:
        dim = self.text_encoder.output_shape[-1]
        embeddings = tf.ensure_shape(embeddings, [None, dim])
        return generate_from_embeddings(self, truncation, embeddings, seeds)

    @graph(input_signature=(_SCALAR, _TEXTS, _SEEDS))
    def _generate(
        self, truncation: Tensor, text: Tensor, seeds: Tensor
    ) -> Tensor:
        return generate_from_texts(self, truncation, text, seeds)

    @graph(
        input_signature=(
            _SCALAR,
            *Interpolation(
                text_from=_TEXTS,
                text_to=_TEXTS,
                text_weight=_WEIGHTS,
                seed_from=_SEEDS,
                seed_to=_SEEDS,
                noise_weight=_WEIGHTS,
            ),
        )
    )
    def _generate_interpolated(
        self, truncation: Tensor, *rows: Tensor
    ) -> Tensor:
        return generate_interpolated(self, truncation, *rows)

    # One trace for each style encoder and, by this relaxation, for two sizes
    # of batches.
    @graph(reduce_retracing=True)
    def _generate_in_style(
        self, style_encoder: keras.Model, text: Tensor, style_images: Tensor
    ) -> Tensor:
        return generate_in_style(self, style_encoder, text, style_images)

    def _interpolate(self, way: Interpolation) -> np.ndarray:
        num_rows = len(way.text_from)
        # Each step goes through the batches of `generate`, so the ends have the
        # same bytes. Convolutions may round differently in other batch sizes.
        images = []
        for weights in zip(way.text_weight, way.noise_weight):
            text_weight, noise_weight = (np.full(num_rows, w) for w in weights)
            rows = way._replace(
                text_weight=text_weight, noise_weight=noise_weight
            )
            images.append(
                _in_batches(
                    functools.partial(
                        self._generate_interpolated, self.truncation
                    ),
                    _BATCH_SIZE,
                    *rows,
                )
            )
        return np.stack(images, axis=1)


def between_captions(
    text_from: np.ndarray, text_to: np.ndarray, steps: int, seed: Any
) -> Interpolation:
    """Returns the way between texts, with one seed for each row.

    Raises `ValueError` if there are not as many texts at both ends, seeds do
    not fit, or there are fewer than 2 steps.
    """
    if len(text_from) != len(text_to):
        raise ValueError(
            "`captions_to` must hold one caption for each of "
            f"`captions_from`. Received: {len(text_from)} and "
            f"{len(text_to)} captions"
        )
    seeds = seeds_of_rows(seed, len(text_from))
    weights = _interpolation_weights(steps)
    return Interpolation(
        text_from, text_to, weights, seeds, seeds, np.zeros_like(weights)
    )


def between_noises(
    text: np.ndarray, seed_from: Any, seed_to: Any, steps: int
) -> Interpolation:
    """Returns the way between the noises of two seeds, for each text."""
    seeds_from = seeds_of_rows(seed_from, len(text), "seed_from")
    seeds_to = seeds_of_rows(seed_to, len(text), "seed_to")
    weights = _interpolation_weights(steps)
    return Interpolation(
        text, text, np.zeros_like(weights), seeds_from, seeds_to, weights
    )


def _interpolation_weights(steps: int) -> np.ndarray:
    check_whole_number(steps, "steps", at_least=2)
    return np.linspace(0.0, 1.0, steps, dtype="float32")


def _in_batches(
    generate: Callable, batch_size: int, *rows: np.ndarray
) -> np.ndarray:
    images = []
    for start in range(0, len(rows[0]), batch_size):
        batch = (array[start : start + batch_size] for array in rows)
        images.append(generate(*map(tf.constant, batch)).numpy())
    return np.concatenate(images)
