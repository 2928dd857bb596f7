"""Stride-2 convolutions whose kernels cannot make checkerboards."""

import keras
from keras import layers
from keras import ops


class _Boxed(layers.Layer):
    """What both directions share: a 3x3 kernel, blurred to 4x4."""

    def __init__(
        self,
        filters,
        use_bias=True,
        kernel_initializer="he_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def _add_weights(self, kernel_shape):
        self.kernel = self.add_weight(
            shape=kernel_shape,
            initializer=self.kernel_initializer,
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.filters,), initializer="zeros", name="bias"
            )

    def _boxed_kernel(self):
        """The 3x3 kernel convolved with a 2x2 box of ones."""
        kernel = ops.cast(self.kernel, self.compute_dtype)
        rows = ops.pad(kernel, ((0, 1), (0, 0), (0, 0), (0, 0)))
        rows += ops.pad(kernel, ((1, 0), (0, 0), (0, 0), (0, 0)))
        boxed = ops.pad(rows, ((0, 0), (0, 1), (0, 0), (0, 0)))
        return boxed + ops.pad(rows, ((0, 0), (1, 0), (0, 0), (0, 0)))

    def _biased(self, outputs):
        if self.bias is None:
            return outputs
        return outputs + ops.cast(self.bias, self.compute_dtype)

    def get_config(self):
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

    def build(self, input_shape):
        self._add_weights((3, 3, input_shape[-1], self.filters))

    def call(self, inputs):
        kernel = self._boxed_kernel() / 4.0
        return self._biased(ops.conv(inputs, kernel, strides=2, padding="same"))

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return batch, height // 2, width // 2, self.filters


@keras.saving.register_keras_serializable("keras_t2i")
class BoxedConv2DTranspose(_Boxed):
    """Nearest-neighbor upsampling and a 3x3 convolution in one deconvolution.

    The 4x4 transposed convolution of stride 2 equals both, at less than half
    their work. All four phases of the output share one 3x3 kernel, so no
    checkerboard comes from weights that differ by phase.

    Args:
        filters: int. Channels of the output.
        use_bias: bool. Defaults to `True`.
        kernel_initializer: of the 3x3 kernel, which is what is trained.
            Defaults to `"he_normal"`.

    Call input: tensor of shape `(batch, height, width, channels)`. Output:
    `(batch, 2 * height, 2 * width, filters)`.

    Reference:
        - [Karras et al., 2018](https://arxiv.org/abs/1710.10196), the code of
          Progressive Growing of GANs.
    """

    def build(self, input_shape):
        # Inputs before outputs: the fans of initializers are those of the
        # 3x3 convolution.
        self._add_weights((3, 3, input_shape[-1], self.filters))

    def call(self, inputs):
        # A transposed convolution adds up its kernel the other way round.
        kernel = ops.flip(self._boxed_kernel(), (0, 1))
        kernel = ops.transpose(kernel, (0, 1, 3, 2))
        return self._biased(
            ops.conv_transpose(inputs, kernel, strides=2, padding="same")
        )

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return batch, 2 * height, 2 * width, self.filters
