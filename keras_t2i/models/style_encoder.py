"""The style encoder S: from an image to the noise that gives its style."""

import dataclasses
from typing import Any
from typing import Self

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_t2i.checks import check_image_size
from keras_t2i.configured_model import ConfiguredModel
from keras_t2i.datasets.images import to_model_range
from keras_t2i.datasets.images import to_uint8
from keras_t2i.models.layers import downsampled
from keras_t2i.models.layers import linear
from keras_t2i.models.noise import noise_from_seeds
from keras_t2i.pretrained.network_files import pretrained_style_encoder
from keras_t2i.types import Tensor

_BATCH_SIZE = 64
# Images that are generated again with another value of one dimension.
_NUM_CHANGED = 32
# Below that, in gray levels, a change is lost when an image becomes 8 bits.
_LEAST_EFFECT = 0.5


@keras.saving.register_keras_serializable("keras_t2i")
class StyleEncoder(ConfiguredModel):
    """Finds the noise from which a generator would make an image.

    A generator takes from its noise what a text leaves open: an image's noise
    is its style. Stride-2 convolutions with batch norm and LeakyReLU lead to a
    4x4 map, and a linear layer from there to the noise. `StyleInversion` trains
    it.

    Args:
        image_size: int. Side of the images: 32, 64, 128 or 256. Defaults to
            `64`.
        width: int. Channels of the first convolution; each next one has twice
            as many, up to `8 * width`. Defaults to `64`.
        noise_dim: int. That of the generator. Defaults to `100`.

    Call input: images in [-1, 1] of shape `(batch, image_size, image_size,
    3)`. Output: float32 noise of shape `(batch, noise_dim)`.

    Example:

    >>> style_encoder = keras_t2i.StyleEncoder(32, width=4, noise_dim=8)
    >>> style_encoder(np.zeros((2, 32, 32, 3))).shape
    TensorShape([2, 8])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.4.
    """

    def __init__(
        self,
        image_size: int = 64,
        width: int = 64,
        noise_dim: int = 100,
        **kwargs: Any,
    ) -> None:
        check_image_size(image_size)
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))

        # === Functional Model ===
        images = keras.Input((image_size, image_size, 3), name="images")
        # The paper gives no layers: these are the discriminator's.
        x = downsampled(images, width, 4, policy)
        x = layers.Flatten(dtype=policy, name="flatten")(x)
        # float32: rounded noise would give other images.
        noise = linear(noise_dim, x.shape[-1], dtype="float32", name="noise")(x)
        super().__init__(inputs=images, outputs=noise, **kwargs)

        # === Config ===
        self.set_arguments(
            policy, image_size=image_size, width=width, noise_dim=noise_dim
        )

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """Loads the style encoder of a GAN that comes with the package.

        Args:
            name: string. Name of the GAN, such as
                `"gan_int_cls_plus_flowers"`.

        Returns:
            `StyleEncoder`.

        Raises:
            ValueError: there is no such GAN, or it comes without a style
                encoder.
        """
        return pretrained_style_encoder(name)


def check_style_encoder(style_encoder: keras.Model, gan: Any) -> None:
    """Raises `ValueError` for a model that is no style encoder of a GAN."""
    expected = (None, gan.image_size, gan.image_size, 3), (None, gan.noise_dim)
    received = tuple(
        getattr(style_encoder, name, None)
        for name in ("input_shape", "output_shape")
    )
    if received != expected:
        raise ValueError(
            "`style_encoder` must lead from images of shape "
            f"{expected[0]} to noise of shape {expected[1]}, as this GAN has "
            f"them. Received: a {type(style_encoder).__name__} from "
            f"{received[0]} to {received[1]}. Take `.style_encoder` of a "
            "`StyleInversion`, and one that was trained on this GAN."
        )


@dataclasses.dataclass(frozen=True)
class NoiseRecovery:
    """How well a style encoder recovers the noise of a generator.

    Args:
        r_squared: float. Share of the noise's variance that is recovered, the
            mean over all dimensions. 1 is all of it; 0 is what always guessing
            the mean would give.
        r_squared_per_dimension: float array of shape `(noise_dim,)`.
        effect_per_dimension: float array of shape `(noise_dim,)`. Root mean
            square change of an image, in gray levels of 255, when this
            dimension alone takes another value.
    """

    r_squared: float
    r_squared_per_dimension: np.ndarray
    effect_per_dimension: np.ndarray

    @property
    def ignored_dimensions(self) -> list[int]:
        """Dimensions that the generator ignores.

        They change an image by less than half a gray level: nothing can
        recover them, and no style is in them.
        """
        return np.flatnonzero(
            self.effect_per_dimension < _LEAST_EFFECT
        ).tolist()


def noise_recovery(
    generator: keras.Model,
    style_encoder: keras.Model,
    text_embeddings: np.ndarray,
    seeds: np.ndarray,
) -> NoiseRecovery:
    """Generates images and compares the noise found in them with their own.

    `text_embeddings` is float32 of shape `(num_images, text_embedding_dim)`,
    and `seeds` are ints of shape `(num_images,)`.
    """
    noise = np.array(noise_from_seeds(seeds, generator.noise_dim))

    def generate(rows: slice, noise: np.ndarray) -> Tensor:
        # In 8 bits, as users have them.
        return to_uint8(
            generator(
                {"noise": noise, "text_embeddings": text_embeddings[rows]},
                training=False,
            )
        )

    found = []
    for start in range(0, len(noise), _BATCH_SIZE):
        rows = slice(start, start + _BATCH_SIZE)
        images = to_model_range(generate(rows, noise[rows]))
        found.append(style_encoder(images, training=False))
    residual = np.mean((np.concatenate(found) - noise) ** 2, axis=0)
    r_squared = 1.0 - residual / np.var(noise, axis=0)

    rows = slice(0, _NUM_CHANGED)
    images = np.array(generate(rows, noise[rows]), np.float32)
    other_noise = np.random.default_rng(0).normal(size=images.shape[:1])
    effects = []
    for dimension in range(generator.noise_dim):
        changed = noise[rows].copy()
        changed[:, dimension] = other_noise
        difference = ops.cast(generate(rows, changed), "float32") - images
        effects.append(float(np.sqrt(np.mean(np.square(difference)))))
    return NoiseRecovery(float(r_squared.mean()), r_squared, np.array(effects))
