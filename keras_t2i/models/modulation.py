"""Scale and offset of each channel, made from a vector."""

import keras
from keras import layers
from keras import ops


@keras.saving.register_keras_serializable("keras_t2i")
class Modulation(layers.Layer):
    """Multiplies by `1 + gamma(c)` and adds `beta(c)`, for each channel.

    After batch norm without its own scale and offset, this is conditional batch
    norm: the vector `c`, here of noise and text, has a say at every resolution.

    Call input: list of a map, `(batch, height, width, channels)`, and a vector,
    `(batch, dim)`. Output: a map of the same shape.

    Reference:
        - [De Vries et al., 2017](https://arxiv.org/abs/1707.00683).
    """

    def build(self, input_shape):
        maps, _ = input_shape
        self.dense = layers.Dense(
            2 * maps[-1],
            kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
            dtype=self.dtype_policy,
            name="scale_and_offset",
        )
        self.dense.build(input_shape[1])

    def call(self, inputs):
        maps, vector = inputs
        scale, offset = ops.split(self.dense(vector), 2, axis=-1)
        return maps * (1.0 + scale)[:, None, None] + offset[:, None, None]

    def compute_output_shape(self, input_shape):
        return input_shape[0]
