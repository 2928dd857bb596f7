"""Discriminators that look at images through a frozen, pretrained network."""

from typing import Any

import keras
import numpy as np
from keras import layers

from keras_t2i.applications.feature_networks import feature_network
from keras_t2i.checks import check_image_size
from keras_t2i.checks import check_whole_number
from keras_t2i.models.discriminator import TextDiscriminator
from keras_t2i.models.discriminator import scoring_head
from keras_t2i.models.layers import SpectralConv2D
from keras_t2i.types import Tensor

# Channels of the four mixed maps, the largest map first.
_MIXED_CHANNELS = (32, 48, 96, 192)
# What heads reduce their map to.
_LAST_SIZE = 3


@keras.saving.register_keras_serializable("keras_t2i")
class FeatureDiscriminator(TextDiscriminator):
    """Judges images and texts by features of a frozen network.

    Images are resized and pass a network that was trained on ImageNet. Four of
    its maps are mixed by fixed random convolutions, from the smallest to the
    largest. On each mixed map a small head with spectral normalization ends in
    a logit of image and text. Only the heads are trained, and saved: the
    network comes with its package, the random convolutions from their seed.

    Args:
        image_size: int. Side of the images: 32, 64, 128 or 256. Defaults to
            `64`.
        width: int. Channels of the heads. Defaults to `128`.
        network: string. `"efficientnet_lite0"`, or the name of a network of
            `keras.applications` whose ImageNet weights Keras can load.
            Defaults to `"efficientnet_lite0"`.
        network_size: int. Side that images are resized to. Defaults to
            `None`: 96, or 128 for images of 128 and more.
        projection_seed: int. Of the random convolutions. Defaults to `0`.
        text_embedding_dim: int. Defaults to `1024`.
        text_projection_dim: int. Size of the text that is tiled. Defaults to
            `128`.
        projection_dim: int. Size of the vectors of image and text that are
            multiplied. Defaults to `256`.

    Call input: dict of `images` in [-1, 1], `(batch, image_size, image_size,
    3)`, and `text_embeddings`, `(batch, text_embedding_dim)`. Output: float32
    logits of shape `(batch, 4)`, one for each map, the largest first.

    Raises:
        ValueError: there is no such network, its weights cannot be loaded or
            are not finite, or it has no maps of the sizes needed.

    Example:

    >>> discriminator = keras_t2i.FeatureDiscriminator(
    ...     32, width=4, text_embedding_dim=16
    ... )
    >>> pairs = {"images": np.zeros((2, 32, 32, 3))}
    >>> pairs["text_embeddings"] = np.zeros((2, 16))
    >>> discriminator(pairs).shape
    TensorShape([2, 4])

    Reference:
        - [Sauer et al., 2021](https://arxiv.org/abs/2111.01007), Projected
          GANs Converge Faster.
        - [Kumari et al., 2022](https://arxiv.org/abs/2112.09130), Ensembling
          Off-the-shelf Models for GAN Training.
    """

    def __init__(
        self,
        image_size: int = 64,
        width: int = 128,
        network: str = "efficientnet_lite0",
        network_size: int | None = None,
        projection_seed: int = 0,
        text_embedding_dim: int = 1024,
        text_projection_dim: int = 128,
        projection_dim: int = 256,
        **kwargs: Any,
    ) -> None:
        check_image_size(image_size)
        if network_size is not None:
            check_whole_number(network_size, "network_size", at_least=1)
        check_whole_number(projection_seed, "projection_seed", at_least=0)
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))
        size = network_size or (96 if image_size < 128 else 128)
        frozen = _frozen_maps(network, image_size, size, projection_seed)
        trunk = _trunk([map.shape[1:] for map in frozen.outputs], width, policy)
        head = scoring_head(
            [
                keras.Input(shape[1:], name=f"features_{level}")
                for level, shape in enumerate(trunk.output_shape)
            ],
            text_embedding_dim,
            text_projection_dim,
            projection_dim,
            policy,
        )

        # XLA has no resizing with antialiasing.
        frozen_layer = _FrozenMaps(frozen, size >= image_size, name="frozen")
        super().__init__(
            trunk,
            head,
            image_size,
            text_embedding_dim,
            views=frozen_layer,
            **kwargs,
        )

        # === Config ===
        self.frozen = frozen_layer
        self.set_arguments(
            policy,
            image_size=image_size,
            width=width,
            network=network,
            network_size=network_size,
            projection_seed=projection_seed,
            text_embedding_dim=text_embedding_dim,
            text_projection_dim=text_projection_dim,
            projection_dim=projection_dim,
        )

    def views(self, images: Tensor) -> list[Tensor]:
        """Returns what the trunk reads of images: the mixed feature maps."""
        return self.frozen(images)


class _FrozenMaps(layers.Layer):
    def __init__(
        self, frozen: keras.Model, supports_jit: bool, **kwargs: Any
    ) -> None:
        # Backward depthwise convolutions are slower in half precision.
        super().__init__(dtype="float32", **kwargs)
        # On a GPU, Keras compiles the steps of what supports it.
        self.supports_jit = supports_jit
        # In a function, where Keras does not look for weights: what is trained,
        # counted and saved with a discriminator are the heads.
        self._maps_of = lambda images: frozen(images, training=False)
        self._shapes = [map.shape[1:] for map in frozen.outputs]

    def call(self, inputs: Tensor) -> list[Tensor]:
        return self._maps_of(inputs)

    def compute_output_spec(self, inputs: Tensor) -> list[keras.KerasTensor]:
        return [
            keras.KerasTensor((inputs.shape[0], *shape), dtype="float32")
            for shape in self._shapes
        ]


def _frozen_maps(
    network_name: str, image_size: int, size: int, seed: int
) -> keras.Model:
    """Makes the model from images to the four mixed maps."""
    network = feature_network(network_name, size)
    images = keras.Input((image_size, image_size, 3), name="images")
    x = images
    if size != image_size:
        x = layers.Resizing(
            size,
            size,
            antialias=size < image_size,
            dtype="float32",
            name="resized",
        )(x)
    maps = network(x)
    generator = np.random.default_rng(seed)

    def random_convolution(
        x: Tensor, filters: int, kernel_size: int, name: str
    ) -> Tensor:
        kernel = generator.normal(
            0.0,
            (kernel_size**2 * x.shape[-1]) ** -0.5,
            (kernel_size, kernel_size, x.shape[-1], filters),
        )
        layer = layers.Conv2D(
            filters,
            kernel_size,
            padding="same",
            use_bias=False,
            dtype="float32",
            name=name,
        )
        outputs = layer(x)
        layer.set_weights([kernel])
        return outputs

    mixed: list[Tensor] = []
    smaller = None
    for level in reversed(range(len(maps))):
        channels = _MIXED_CHANNELS[level]
        x = random_convolution(maps[level], channels, 1, f"project_{level}")
        if smaller is not None:
            smaller = random_convolution(smaller, channels, 3, f"mix_{level}")
            smaller = layers.UpSampling2D(
                interpolation="bilinear",
                dtype="float32",
                name=f"enlarged_{level}",
            )(smaller)
            x = layers.Add(dtype="float32", name=f"mixed_{level}")([x, smaller])
        smaller = x
        mixed.insert(0, x)
    frozen = keras.Model(images, mixed, name="frozen_maps")
    frozen.trainable = False
    return frozen


def _trunk(
    shapes: list[tuple[int, ...]], width: int, policy: Any
) -> keras.Model:
    """Makes the heads' convolutions: from each map to one of about 3x3."""
    maps = [
        keras.Input(shape, name=f"map_{level}")
        for level, shape in enumerate(shapes)
    ]
    outputs = []

    def convolved(
        x: Tensor, kernel_size: int, strides: int, level: int, suffix: str = ""
    ) -> Tensor:
        x = SpectralConv2D(
            width,
            kernel_size,
            strides,
            dtype=policy,
            name=f"map_{level}_convolution{suffix}",
        )(x)
        return layers.LeakyReLU(
            0.2, dtype=policy, name=f"map_{level}_activation{suffix}"
        )(x)

    for level, x in enumerate(maps):
        if x.shape[1] <= _LAST_SIZE + 1:
            x = convolved(x, 3, 1, level)
        index = 0
        while x.shape[1] > _LAST_SIZE + 1:
            x = convolved(x, 4, 2, level, f"_{index}")
            index += 1
        outputs.append(x)
    return keras.Model(maps, outputs, name="trunk")
