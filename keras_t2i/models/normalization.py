"""Layers that normalize images and texts, and scale them anew."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers
from keras import ops

from keras_t2i.configured_model import PlainLayer
from keras_t2i.types import Tensor


@keras.saving.register_keras_serializable("keras_t2i")
class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalization in one kernel, synchronized under a strategy.

    Keras computes moments, scale and offset as separate operations, which
    takes more than twice as long on a CPU. As in Torch, the moving variance is
    that of a sample: `n / (n - 1)` times that of the batch.

    Call input: tensor of shape `(batch, height, width, channels)`.
    """

    def __init__(self, **kwargs: Any) -> None:
        # For Keras' own computation, which is used under a strategy.
        kwargs["synchronized"] = True
        super().__init__(**kwargs)

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if num_replicas > 1 or len(inputs.shape) != 4:
            return self._synchronized_call(inputs, mask, num_replicas)
        channels = inputs.shape[-1:]
        scale = self.gamma if self.scale else ops.ones(channels)
        offset = self.beta if self.center else ops.zeros(channels)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            ops.cast(inputs, self.compute_dtype),
            ops.cast(scale, "float32"),
            ops.cast(offset, "float32"),
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

    def _synchronized_call(
        self, inputs: Tensor, mask: Tensor | None, num_replicas: int
    ) -> Tensor:
        kept = self.momentum * self.moving_variance
        outputs = super().call(inputs, training=True, mask=mask)
        count = ops.cast(ops.size(inputs), "float32") / inputs.shape[-1]
        count *= num_replicas
        of_sample = count / ops.maximum(count - 1.0, 1.0)
        of_batch = self.moving_variance - kept
        self.moving_variance.assign(kept + of_sample * of_batch)
        return outputs


@keras.saving.register_keras_serializable("keras_t2i")
class Modulation(PlainLayer):
    """Multiplies by `1 + gamma(c)` and adds `beta(c)`, for each channel.

    After batch norm without its own scale and offset, this is conditional batch
    norm: the vector `c`, here of noise and text, acts at every resolution.

    Call input: list of a map, `(batch, height, width, channels)`, and a vector,
    `(batch, dim)`. Output: a map of the same shape.

    Reference:
        - [De Vries et al., 2017](https://arxiv.org/abs/1707.00683).
    """

    def build(self, input_shape: list[tuple[int, ...]]) -> None:
        maps, vector = input_shape
        self.dense = layers.Dense(
            2 * maps[-1],
            kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
            dtype=self.dtype_policy,
            name="scale_and_offset",
        )
        self.dense.build(vector)

    def call(self, inputs: list[Tensor]) -> Tensor:
        maps, vector = inputs
        scale, offset = ops.split(self.dense(vector), 2, axis=-1)
        return maps * (1.0 + scale)[:, None, None] + offset[:, None, None]

    def compute_output_shape(
        self, input_shape: list[tuple[int, ...]]
    ) -> tuple[int, ...]:
        return input_shape[0]


@keras.saving.register_keras_serializable("keras_t2i")
class TextStandardization(PlainLayer):
    """Subtracts the mean of the training set's texts, divides by the deviation.

    The two are weights that are not trained: a saved model keeps them, and its
    users pass plain text embeddings. A new layer returns them unchanged.

    Call input: tensor of shape `(batch, text_embedding_dim)`. Output: the same.
    """

    def __init__(self, **kwargs: Any) -> None:
        # Rounded texts may differ from the mean by less than their rounding.
        super().__init__(autocast=False, **kwargs)

    def build(self, input_shape: tuple[int, ...]) -> None:
        fixed = {"trainable": False, "autocast": False, "dtype": "float32"}
        shape = input_shape[-1:]
        self.mean = self.add_weight(shape, "zeros", name="mean", **fixed)
        self.deviation = self.add_weight(
            shape, "ones", name="deviation", **fixed
        )

    def call(self, inputs: Tensor) -> Tensor:
        inputs = ops.cast(inputs, "float32")
        outputs = (inputs - self.mean) / self.deviation
        return ops.cast(outputs, self.compute_dtype)

    def adapt(self, text_embeddings: Tensor) -> None:
        """Takes the mean and deviation of texts of shape `(num_texts, dim)`.

        Raises `ValueError` if there are no texts, or they are of another size
        or not finite.
        """
        text_embeddings = ops.convert_to_tensor(text_embeddings, "float32")
        shape, expected = tuple(text_embeddings.shape), self.mean.shape[0]
        is_finite = bool(ops.all(ops.isfinite(text_embeddings)))
        if shape[1:] != (expected,) or not shape[0] or not is_finite:
            raise ValueError(
                "`text_embeddings` must be finite and of shape (num_texts, "
                f"{expected}), of at least one text. Received: shape {shape}"
                f"{'' if is_finite else ', with NaN or infinity'}"
            )
        self.mean.assign(ops.mean(text_embeddings, axis=0))
        deviation = ops.std(text_embeddings, axis=0)
        # What never varies here may do so a little in the texts of users, and
        # must not become huge.
        self.deviation.assign(
            ops.where(deviation > 1e-6, deviation, ops.ones_like(deviation))
        )


def standardized(text_embeddings: Tensor, dtype: Any) -> Tensor:
    """Applies `TextStandardization`, under its usual name."""
    return TextStandardization(dtype=dtype, name="text_standardization")(
        text_embeddings
    )


def standardizations_of(model: keras.Model) -> list[TextStandardization]:
    """Returns all `TextStandardization` layers of a model."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, TextStandardization)
    ]
