"""The layers of the networks: the paper's, and those that Keras does not have.

The paper's are initialized as in its released code (Reed et al., 2016):
convolutions from N(0, 0.02) without bias, batch norm scales from N(1, 0.02),
and Torch's own uniform initialization of linear layers.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers
from keras import ops

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
    return Conv2DTranspose(
        filters,
        4,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
        **kwargs,
    )


@keras.saving.register_keras_serializable("keras_t2i")
class Conv2DTranspose(layers.Conv2DTranspose):
    """Keras' layer without bias, but a matrix product for a map of one point.

    The product takes a third of the time. The class has the name of Keras' own,
    since that is part of the weights' path in files.
    """

    def call(self, inputs: Tensor) -> Tensor:
        if inputs.shape[1:3] != (1, 1) or self.padding != "valid":
            return super().call(inputs)
        channels = inputs.shape[-1]
        points = ops.reshape(inputs, (-1, channels))
        kernel = ops.reshape(self.kernel, (-1, channels))
        maps = ops.matmul(points, ops.transpose(kernel))
        return ops.reshape(maps, (-1, *self.kernel.shape[:3]))


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
    """Returns the channels of the map of side `size`.

    The largest map, of half the image's side, has `width` channels. Each
    smaller one has twice as many, up to `8 * width`. If they are `falling`, the
    map of 32x32 has `width`, and each larger one half as many.
    """
    largest = min(image_size, 64) if falling else image_size
    return max(1, width * min(16 * size, largest) // (2 * size))


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
            num_filters(width, size, image_size, falling_channels),
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


@keras.saving.register_keras_serializable("keras_t2i")
class SpectralConv2D(layers.Layer):
    """A convolution with spectral normalization.

    The kernel is divided by an estimate of its largest singular value, as a
    matrix of outputs and all else. Each call in training improves the estimate
    by one power iteration. Keras' own `SpectralNormalization` overwrites the
    kernel, which is not possible on several devices.

    Args:
        filters: int. Channels of the output.
        kernel_size: int. Side of the kernel.
        strides: int. Defaults to `1`. The padding is `"same"`.

    Call input: tensor of shape `(batch, height, width, channels)`.

    Reference:
        - [Miyato et al., 2018](https://arxiv.org/abs/1802.05957).
    """

    def __init__(
        self, filters: int, kernel_size: int, strides: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides

    def build(self, input_shape: tuple[int, ...]) -> None:
        side = self.kernel_size
        self.kernel = self.add_weight(
            shape=(side, side, input_shape[-1], self.filters),
            initializer="he_normal",
            # Not rounded before it is divided.
            autocast=False,
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.filters,), initializer="zeros", name="bias"
        )
        self.singular_vector = self.add_weight(
            shape=(1, self.filters),
            initializer=keras.initializers.RandomNormal(1.0, 0.02),
            trainable=False,
            autocast=False,
            # All devices compute the same one, from the same kernel.
            aggregation="only_first_replica",
            name="singular_vector",
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        matrix = ops.reshape(self.kernel, (-1, self.filters))
        right = ops.convert_to_tensor(self.singular_vector)
        left = _normalized(ops.matmul(right, ops.transpose(matrix)))
        if training:
            right = _normalized(ops.matmul(left, matrix))
            self.singular_vector.assign(right)
        left, right = ops.stop_gradient(left), ops.stop_gradient(right)
        largest = ops.sum(ops.matmul(left, matrix) * right)
        outputs = ops.conv(
            inputs,
            ops.cast(self.kernel / largest, self.compute_dtype),
            strides=self.strides,
            padding="same",
        )
        return outputs + ops.cast(self.bias, self.compute_dtype)

    def compute_output_shape(
        self, input_shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        batch, height, width, _ = input_shape
        return (
            batch,
            -(-height // self.strides),
            -(-width // self.strides),
            self.filters,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
        }


def _normalized(vector: Tensor) -> Tensor:
    return vector / (ops.norm(vector) + 1e-12)


class _Boxed(layers.Layer):
    """A stride-2 convolution whose 3x3 kernel is blurred to 4x4."""

    def __init__(
        self,
        filters: int,
        use_bias: bool = True,
        kernel_initializer: str | keras.initializers.Initializer = "he_normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple[int, ...]) -> None:
        # Inputs before outputs, also for the transposed convolution: the fans
        # of initializers are those of the 3x3 convolution.
        self.kernel = self.add_weight(
            shape=(3, 3, input_shape[-1], self.filters),
            initializer=self.kernel_initializer,
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.filters,), initializer="zeros", name="bias"
            )

    def _boxed_kernel(self) -> Tensor:
        """The 3x3 kernel convolved with a 2x2 box of ones."""
        kernel = ops.cast(self.kernel, self.compute_dtype)
        rows = ops.pad(kernel, ((0, 1), (0, 0), (0, 0), (0, 0)))
        rows += ops.pad(kernel, ((1, 0), (0, 0), (0, 0), (0, 0)))
        boxed = ops.pad(rows, ((0, 0), (0, 1), (0, 0), (0, 0)))
        return boxed + ops.pad(rows, ((0, 0), (1, 0), (0, 0), (0, 0)))

    def _biased(self, outputs: Tensor) -> Tensor:
        if self.bias is None:
            return outputs
        return outputs + ops.cast(self.bias, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
        }


@keras.saving.register_keras_serializable("keras_t2i")
class BoxedConv2D(_Boxed):
    """A 3x3 convolution and 2x2 average pooling in one 4x4 convolution.

    Each input pixel has the same weights whatever its phase, so the gradients
    that reach the image hold no checkerboard.

    Args:
        filters: int. Channels of the output.
        use_bias: bool. Defaults to `True`.
        kernel_initializer: of the 3x3 kernel, which is what is trained.
            Defaults to `"he_normal"`.

    Call input: tensor of shape `(batch, height, width, channels)`, of even
    height and width. Output: `(batch, height / 2, width / 2, filters)`.

    Reference:
        - [Karras et al., 2018](https://arxiv.org/abs/1710.10196), the code of
          Progressive Growing of GANs.
    """

    def call(self, inputs: Tensor) -> Tensor:
        kernel = self._boxed_kernel() / 4.0
        return self._biased(ops.conv(inputs, kernel, strides=2, padding="same"))

    def compute_output_shape(
        self, input_shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        batch, height, width, _ = input_shape
        return batch, height // 2, width // 2, self.filters


@keras.saving.register_keras_serializable("keras_t2i")
class BoxedConv2DTranspose(_Boxed):
    """Nearest-neighbor upsampling and a 3x3 convolution in one deconvolution.

    The 4x4 transposed convolution of stride 2 equals both, at less than half
    their work. All four phases of the output share one 3x3 kernel, so no
    checkerboard comes from weights that differ by phase.

    The arguments are those of `BoxedConv2D`.

    Call input: tensor of shape `(batch, height, width, channels)`. Output:
    `(batch, 2 * height, 2 * width, filters)`.

    Reference:
        - [Karras et al., 2018](https://arxiv.org/abs/1710.10196), the code of
          Progressive Growing of GANs.
    """

    def call(self, inputs: Tensor) -> Tensor:
        # A transposed convolution adds up its kernel the other way round.
        kernel = ops.flip(self._boxed_kernel(), (0, 1))
        kernel = ops.transpose(kernel, (0, 1, 3, 2))
        return self._biased(
            ops.conv_transpose(inputs, kernel, strides=2, padding="same")
        )

    def compute_output_shape(
        self, input_shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        batch, height, width, _ = input_shape
        return batch, 2 * height, 2 * width, self.filters
