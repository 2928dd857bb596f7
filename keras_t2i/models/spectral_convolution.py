"""A convolution whose kernel is divided by its largest singular value."""

import keras
from keras import layers
from keras import ops


@keras.saving.register_keras_serializable("keras_t2i")
class SpectralConv2D(layers.Conv2D):
    """A convolution with spectral normalization.

    The kernel is divided by an estimate of its largest singular value, as a
    matrix of outputs and all else; each call in training improves the estimate
    by one power iteration. Keras' own `SpectralNormalization` overwrites the
    kernel, which cannot be done on several devices.

    Args and call input: those of `keras.layers.Conv2D`.

    Reference:
        - [Miyato et al., 2018](https://arxiv.org/abs/1802.05957).
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.singular_vector = self.add_weight(
            shape=(1, self.filters),
            initializer=keras.initializers.RandomNormal(1.0, 0.02),
            trainable=False,
            # All devices compute the same one, from the same kernel.
            aggregation="only_first_replica",
            name="singular_vector",
        )

    def call(self, inputs, training=False):
        matrix = ops.reshape(self.kernel, (-1, self.filters))
        right = self.singular_vector + 0.0
        left = _normalized(ops.matmul(right, ops.transpose(matrix)))
        if training:
            right = _normalized(ops.matmul(left, matrix))
            self.singular_vector.assign(right)
        left, right = ops.stop_gradient(left), ops.stop_gradient(right)
        largest = ops.sum(ops.matmul(left, matrix) * right)
        kernel = ops.cast(self.kernel / largest, self.compute_dtype)
        outputs = ops.conv(
            inputs, kernel, strides=list(self.strides), padding=self.padding
        )
        if self.use_bias:
            outputs += ops.cast(self.bias, self.compute_dtype)
        return self.activation(outputs)


def _normalized(vector):
    return vector / (ops.norm(vector) + 1e-12)
