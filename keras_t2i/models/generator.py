"""Generators: from noise and a text embedding to an image."""

from typing import Any

import keras
from keras import layers

from keras_t2i.checks import check_image_size
from keras_t2i.configured_model import ConfiguredModel
from keras_t2i.models.layers import BoxedConv2DTranspose
from keras_t2i.models.layers import batch_normalization
from keras_t2i.models.layers import linear
from keras_t2i.models.layers import num_filters
from keras_t2i.models.layers import residual_block
from keras_t2i.models.layers import transposed_convolution
from keras_t2i.models.normalization import FusedBatchNormalization
from keras_t2i.models.normalization import Modulation
from keras_t2i.models.normalization import standardized
from keras_t2i.types import Tensor


@keras.saving.register_keras_serializable("keras_t2i")
class Generator(ConfiguredModel):
    """Generates an image from normal noise and a text embedding.

    The text embedding is projected to 128 features with LeakyReLU and
    concatenated to the noise; transposed convolutions with batch norm and ReLU
    lead from there to a 4x4 map and on to the image, the last one with tanh.

    Args:
        image_size: int. Side of the images: 32, 64, 128 or 256. Defaults to
            `64`.
        width: int. Channels of the largest map; each smaller one has twice as
            many, up to `8 * width`. Defaults to `64`.
        residual_blocks: bool. Whether the maps of 4x4 and 8x8 are followed by
            a residual bottleneck, as in the released code. Defaults to
            `False`.
        text_embedding_dim: int. Defaults to `1024`.
        text_projection_dim: int. Defaults to `128`.
        noise_dim: int. Defaults to `100`.
        falling_channels: bool. Whether, in images larger than 64 pixels,
            `width` is that of the map of 32x32 and each larger map has half as
            many, which takes less time and memory. Defaults to `False`.

    Call input: dict of `noise`, `(batch, noise_dim)`, and `text_embeddings`,
    `(batch, text_embedding_dim)`. Output: float32 images in [-1, 1] of shape
    `(batch, image_size, image_size, 3)`.

    Example:

    >>> generator = keras_t2i.Generator(32, width=4, text_embedding_dim=16)
    >>> noise, text = np.zeros((2, 100)), np.zeros((2, 16))
    >>> generator({"noise": noise, "text_embeddings": text}).shape
    TensorShape([2, 32, 32, 3])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.1.
    """

    def __init__(
        self,
        image_size: int = 64,
        width: int = 64,
        residual_blocks: bool = False,
        text_embedding_dim: int = 1024,
        text_projection_dim: int = 128,
        noise_dim: int = 100,
        falling_channels: bool = False,
        **kwargs: Any,
    ) -> None:
        check_image_size(image_size)
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))

        def relu(name: str) -> layers.Layer:
            return layers.ReLU(dtype=policy, name=name)

        # === Functional Model ===
        noise = keras.Input((noise_dim,), name="noise")
        text_embeddings = keras.Input(
            (text_embedding_dim,), name="text_embeddings"
        )
        text = linear(
            text_projection_dim,
            text_embedding_dim,
            dtype=policy,
            name="text_projection",
        )(text_embeddings)
        text = layers.LeakyReLU(0.2, dtype=policy, name="text_activation")(text)
        x = layers.Concatenate(dtype=policy, name="noise_and_text")(
            [noise, text]
        )
        x = layers.Reshape((1, 1, x.shape[-1]), dtype=policy, name="point")(x)
        size = 4
        while size < image_size:
            filters = num_filters(width, size, image_size, falling_channels)
            first = size == 4
            x = transposed_convolution(
                filters,
                strides=1 if first else 2,
                padding="valid" if first else "same",
                dtype=policy,
                name=f"convolution_{size}",
            )(x)
            x = batch_normalization(
                dtype=policy, name=f"batch_normalization_{size}"
            )(x)
            if residual_blocks and size <= 8:
                x = residual_block(
                    x, filters // 4, relu, f"residual_{size}", policy
                )
            else:
                x = relu(f"activation_{size}")(x)
            size *= 2
        x = transposed_convolution(
            3, dtype=policy, name=f"convolution_{image_size}"
        )(x)
        images = layers.Activation("tanh", dtype="float32", name="images")(x)
        super().__init__(
            inputs={"noise": noise, "text_embeddings": text_embeddings},
            outputs=images,
            **kwargs,
        )

        # === Config ===
        self.set_arguments(
            policy,
            image_size=image_size,
            width=width,
            residual_blocks=residual_blocks,
            text_embedding_dim=text_embedding_dim,
            text_projection_dim=text_projection_dim,
            noise_dim=noise_dim,
            falling_channels=falling_channels,
        )


@keras.saving.register_keras_serializable("keras_t2i")
class ModulatedGenerator(ConfiguredModel):
    """Generates images from noise and text embeddings, as `Generator` does.

    As in the paper, the projected text is joined to the noise, and transposed
    convolutions lead from a 4x4 map to the image. Unlike there, the
    convolutions cannot make checkerboards, the joined vector also gives scale
    and offset after each batch norm, and the 4x4 map has a residual
    convolution.

    Args:
        image_size: int. Side of the images: 32, 64, 128 or 256. Defaults to
            `64`.
        width: int. Channels of the map of 32x32; each smaller map has twice as
            many, up to `8 * width` at 4x4, each larger one half as many.
            Defaults to `32`.
        full_resolution: bool. Whether a 3x3 convolution of one more map, of the
            image's own size, makes the image. Otherwise the last upsampling
            layer does, whose pixels are less free to differ from their
            neighbors. Defaults to `False`.
        text_embedding_dim: int. Defaults to `1024`.
        text_projection_dim: int. Defaults to `128`.
        noise_dim: int. Defaults to `100`.

    Call input: dict of `noise`, `(batch, noise_dim)`, and `text_embeddings`,
    `(batch, text_embedding_dim)`. Output: float32 images in [-1, 1] of shape
    `(batch, image_size, image_size, 3)`.

    Example:

    >>> generator = keras_t2i.ModulatedGenerator(
    ...     32, width=4, text_embedding_dim=16
    ... )
    >>> noise, text = np.zeros((2, 100)), np.zeros((2, 16))
    >>> generator({"noise": noise, "text_embeddings": text}).shape
    TensorShape([2, 32, 32, 3])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.1.
        - [Karras et al., 2018](https://arxiv.org/abs/1710.10196), the code.
        - [Miyato and Koyama, 2018](https://arxiv.org/abs/1802.05637),
          conditional batch norm in generators.
    """

    def __init__(
        self,
        image_size: int = 64,
        width: int = 32,
        full_resolution: bool = False,
        text_embedding_dim: int = 1024,
        text_projection_dim: int = 128,
        noise_dim: int = 100,
        **kwargs: Any,
    ) -> None:
        check_image_size(image_size)
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))
        initializer = keras.initializers.RandomNormal(0.0, 0.02)

        def modulated(x: Tensor, name: str) -> Tensor:
            x = FusedBatchNormalization(
                momentum=0.9,
                epsilon=1e-5,
                center=False,
                scale=False,
                dtype=policy,
                name=f"batch_normalization_{name}",
            )(x)
            x = Modulation(dtype=policy, name=f"modulation_{name}")([x, vector])
            return layers.LeakyReLU(
                0.2, dtype=policy, name=f"activation_{name}"
            )(x)

        # === Functional Model ===
        noise = keras.Input((noise_dim,), name="noise")
        text_embeddings = keras.Input(
            (text_embedding_dim,), name="text_embeddings"
        )
        text = layers.Dense(
            text_projection_dim, dtype=policy, name="text_projection"
        )(standardized(text_embeddings, policy))
        text = layers.LeakyReLU(0.2, dtype=policy, name="text_activation")(text)
        vector = layers.Concatenate(dtype=policy, name="noise_and_text")(
            [noise, text]
        )
        size = 4
        filters = 8 * width
        x = layers.Dense(
            size * size * filters,
            use_bias=False,
            kernel_initializer=initializer,
            dtype=policy,
            name="dense",
        )(vector)
        x = layers.Reshape((size, size, filters), dtype=policy, name="map")(x)
        x = modulated(x, str(size))
        residual = layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer=initializer,
            dtype=policy,
            name="residual_convolution",
        )(x)
        residual = modulated(residual, "residual")
        x = layers.Add(dtype=policy, name="residual_add")([x, residual])
        last_size = image_size if full_resolution else image_size // 2
        while size < last_size:
            size *= 2
            x = BoxedConv2DTranspose(
                max(1, 32 * width // size),
                use_bias=False,
                kernel_initializer=initializer,
                dtype=policy,
                name=f"convolution_{size}",
            )(x)
            x = modulated(x, str(size))
        if full_resolution:
            x = layers.Conv2D(
                3,
                3,
                padding="same",
                kernel_initializer=initializer,
                dtype=policy,
                name="image_convolution",
            )(x)
        else:
            x = BoxedConv2DTranspose(
                3,
                kernel_initializer=initializer,
                dtype=policy,
                name=f"convolution_{image_size}",
            )(x)
        images = layers.Activation("tanh", dtype="float32", name="images")(x)
        super().__init__(
            inputs={"noise": noise, "text_embeddings": text_embeddings},
            outputs=images,
            **kwargs,
        )

        # === Config ===
        self.set_arguments(
            policy,
            image_size=image_size,
            width=width,
            full_resolution=full_resolution,
            text_embedding_dim=text_embedding_dim,
            text_projection_dim=text_projection_dim,
            noise_dim=noise_dim,
        )
