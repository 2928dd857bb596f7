"""Batch normalization of images with TensorFlow's fused kernel."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("keras_t2i")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization in one kernel, synchronized under a strategy.

    Keras computes moments, scale and offset as separate operations, which
    takes more than twice as long on a CPU. As in Torch, the moving variance is
    that of a sample: `n / (n - 1)` times that of the batch.

    Call input: tensor of shape `(batch, height, width, channels)`.
    """

    def __init__(self, **kwargs):
        # Keras' own way, which is taken under a strategy, must know it.
        kwargs["synchronized"] = True
        super().__init__(**kwargs)

    def call(self, inputs, training=None, mask=None):
        learns = training and self.trainable
        several_replicas = tf.distribute.get_strategy().num_replicas_in_sync > 1
        if not learns:
            return super().call(inputs, training=training, mask=mask)
        if several_replicas or len(inputs.shape) != 4:
            return self._synchronized_call(inputs, mask)
        channels = inputs.shape[-1:]
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            ops.cast(inputs, self.compute_dtype),
            ops.cast(self.gamma, "float32")
            if self.scale
            else ops.ones(channels),
            ops.cast(self.beta, "float32")
            if self.center
            else ops.zeros(channels),
            epsilon=self.epsilon,
            is_training=True,
        )
        for moving, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            kept = self.momentum * moving
            moving.assign(kept + (1.0 - self.momentum) * batch)
        return outputs

    def _synchronized_call(self, inputs, mask):
        kept = self.momentum * self.moving_variance
        outputs = super().call(inputs, training=True, mask=mask)
        count = ops.cast(ops.size(inputs), "float32") / inputs.shape[-1]
        count *= tf.distribute.get_strategy().num_replicas_in_sync
        of_sample = count / ops.maximum(count - 1.0, 1.0)
        of_batch = self.moving_variance - kept
        self.moving_variance.assign(kept + of_sample * of_batch)
        return outputs
