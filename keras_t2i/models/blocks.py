"""The layers of the paper's networks, initialized as in its released code.

Reed et al. (2016), released code: convolutions from N(0, 0.02) without bias,
batch norm scales from N(1, 0.02), and Torch's own uniform initialization of
linear layers.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from keras_t2i.models.normalization import FusedBatchNormalization
from keras_t2i.types import Tensor


def convolution(
    filters: int,
    kernel_size: int,
    strides: int = 1,
    padding: str = "same",
    **kwargs: Any,
) -> layers.Layer:
    """Makes a convolution without bias."""
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
        **kwargs,
    )


def transposed_convolution(
    filters: int, strides: int = 2, padding: str = "same", **kwargs: Any
) -> layers.Layer:
    """Makes a 4x4 transposed convolution without bias."""
    return layers.Conv2DTranspose(
        filters,
        4,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
        **kwargs,
    )


def batch_normalization(**kwargs: Any) -> layers.Layer:
    """Makes a batch norm with Torch's momentum and epsilon."""
    return FusedBatchNormalization(
        momentum=0.9,
        epsilon=1e-5,
        gamma_initializer=keras.initializers.RandomNormal(1.0, 0.02),
        **kwargs,
    )


def linear(units: int, inputs_dim: int, **kwargs: Any) -> layers.Layer:
    """Makes a linear layer from U(-1/sqrt(n), 1/sqrt(n)), n inputs."""
    limit = inputs_dim**-0.5
    return layers.Dense(
        units,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        bias_initializer=keras.initializers.RandomUniform(-limit, limit),
        **kwargs,
    )


def leaky_relu(dtype: Any) -> Callable[[str], layers.Layer]:
    """Returns a function of a name to an activation."""
    return lambda name: layers.LeakyReLU(0.2, dtype=dtype, name=name)


def num_filters(width: int, size: int, image_size: int, falling: bool) -> int:
    """Returns the channels of the map that is half as large as `size`.

    The largest map has `width` channels, each smaller one twice as many, up to
    `8 * width`. If they are `falling`, maps of more than 32x32 do not count as
    the largest, and have half as many for each doubling of their side.
    """
    largest = min(image_size, 64) if falling else image_size
    return max(1, width * min(8 * size, largest) // size)


def downsampled(
    images: Tensor,
    width: int,
    last_size: int,
    dtype: Any,
    as_released: bool = False,
    falling_channels: bool = False,
) -> Tensor:
    """Applies stride-2 convolutions, from images to a map of `last_size`.

    `num_filters` says how many channels each one has. `as_released` leaves out
    the first batch norm and the last two activations.
    """
    activation = leaky_relu(dtype)
    image_size = images.shape[1]
    x = images
    size = image_size
    while size > last_size:
        first = size == image_size
        size //= 2
        x = convolution(
            num_filters(width, 2 * size, image_size, falling_channels),
            4,
            strides=2,
            dtype=dtype,
            name=f"convolution_{size}",
        )(x)
        if not (as_released and first):
            x = batch_normalization(
                dtype=dtype, name=f"batch_normalization_{size}"
            )(x)
        if not (as_released and size <= 2 * last_size):
            x = activation(f"activation_{size}")(x)
    return x


def residual_block(
    x: Tensor,
    inner_filters: int,
    activation: Callable[[str], layers.Layer],
    name: str,
    dtype: Any,
) -> Tensor:
    """Applies a 1x1, 3x3, 3x3 bottleneck, adds its input, and activates."""
    shortcut = x
    sizes = ((inner_filters, 1), (inner_filters, 3), (shortcut.shape[-1], 3))
    for index, (filters, kernel_size) in enumerate(sizes, start=1):
        x = convolution(
            filters,
            kernel_size,
            dtype=dtype,
            name=f"{name}_convolution_{index}",
        )(x)
        x = batch_normalization(
            dtype=dtype, name=f"{name}_batch_normalization_{index}"
        )(x)
        if index < 3:
            x = activation(f"{name}_activation_{index}")(x)
    x = layers.Add(dtype=dtype, name=f"{name}_add")([x, shortcut])
    return activation(f"{name}_activation_3")(x)
