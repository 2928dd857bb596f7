"""One channel that says how much the images of a batch differ."""

import keras
from keras import layers
from keras import ops


@keras.saving.register_keras_serializable("keras_t2i")
class MinibatchDeviation(layers.Layer):
    """Appends the mean standard deviation over the batch as a channel.

    A generator whose images are all alike is then easy to tell. On several
    devices the deviation is that of each device's rows.

    Call input: tensor of shape `(batch, height, width, channels)`. Output:
    `(batch, height, width, channels + 1)`.

    Reference:
        - [Karras et al., 2018](https://arxiv.org/abs/1710.10196), section 3.
    """

    def call(self, inputs):
        # float32: squares of half-precision numbers overflow or vanish.
        values = ops.cast(inputs, "float32")
        variance = ops.mean(
            ops.square(values - ops.mean(values, axis=0)), axis=0
        )
        deviation = ops.mean(ops.sqrt(variance + 1e-8))
        channel = ops.ones_like(inputs[..., :1]) * ops.cast(
            deviation, inputs.dtype
        )
        return ops.concatenate([inputs, channel], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)
