"""A convolution whose kernel is divided by its largest singular value."""

import keras
from keras import layers
from keras import ops


@keras.saving.register_keras_serializable("keras_t2i")
class SpectralConv2D(layers.Layer):
    """A convolution with spectral normalization.

    The kernel is divided by an estimate of its largest singular value, as a
    matrix of outputs and all else; each call in training improves the estimate
    by one power iteration. Keras' own `SpectralNormalization` overwrites the
    kernel, which cannot be done on several devices.

    Args:
        filters: int. Channels of the output.
        kernel_size: int. Side of the kernel.
        strides: int. Defaults to `1`. The padding is `"same"`.

    Call input: tensor of shape `(batch, height, width, channels)`.

    Reference:
        - [Miyato et al., 2018](https://arxiv.org/abs/1802.05957).
    """

    def __init__(self, filters, kernel_size, strides=1, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(
                *(self.kernel_size, self.kernel_size),
                *(input_shape[-1], self.filters),
            ),
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

    def call(self, inputs, training=False):
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

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (
            batch,
            -(-height // self.strides),
            -(-width // self.strides),
            self.filters,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
        }


def _normalized(vector):
    return vector / (ops.norm(vector) + 1e-12)
