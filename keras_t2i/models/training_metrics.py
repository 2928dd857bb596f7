"""The metrics of a GAN's training."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_t2i.types import Tensor

# `evaluate` repeats no texts, and has no such loss.
NOT_EVALUATED = "mode_seeking_loss"


@keras.saving.register_keras_serializable("keras_t2i")
class RelativeDiversity(keras.metrics.Mean):
    """How far the generated images of a batch lie apart.

    1 is as far as its real images: the ratio of the standard deviations of
    their pixels, taken over the batch of all replicas.
    """

    def update_state(
        self, generated_images: Tensor, real_images: Tensor
    ) -> None:
        super().update_state(relative_diversity(generated_images, real_images))


def relative_diversity(generated_images: Tensor, real_images: Tensor) -> Tensor:
    """Returns the ratio that `RelativeDiversity` is the mean of.

    Args:
        generated_images: tensor of shape `(batch, height, width, channels)`.
        real_images: tensor of the same shape.

    Returns:
        float32 scalar, 0 where the real images are all alike.
    """
    replica = tf.distribute.get_replica_context()
    variances = []
    for rows in (generated_images, real_images):
        rows = ops.cast(rows, "float32")
        mean, square = replica.all_reduce(
            tf.distribute.ReduceOp.MEAN,
            [ops.mean(rows, axis=0), ops.mean(ops.square(rows), axis=0)],
        )
        variances.append(ops.mean(square - ops.square(mean)))
    generated, real = variances
    return ops.sqrt(ops.maximum(ops.divide_no_nan(generated, real), 0.0))


@keras.saving.register_keras_serializable("keras_t2i")
class Share(keras.metrics.Mean):
    """The share of the rows for which something holds.

    Call input: bool tensor.
    """

    def update_state(self, holds: Tensor) -> None:
        super().update_state(ops.cast(holds, "float32"))


@keras.saving.register_keras_serializable("keras_t2i")
class ReplicaLoss(keras.metrics.Mean):
    """The mean of a loss, of which each replica computes its share."""

    def update_state(self, loss: Tensor) -> None:
        # Keras divides a loss by the number of replicas, whose gradients it
        # adds up.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        super().update_state(loss * replicas)


def training_metrics(
    matching_aware: bool, mode_seeking_weight: float, matching_schedule: Any
) -> dict[str, keras.metrics.Metric]:
    """Makes the metrics of a GAN, in the order in which a saved model has them.

    Args:
        matching_aware: bool. Whether there are mismatched pairs.
        mode_seeking_weight: float. 0 without a mode seeking loss.
        matching_schedule: `StagedMatching` or `None`.

    Returns:
        dict of names to `keras.metrics.Metric`.
    """
    metrics = [ReplicaLoss("discriminator_loss"), ReplicaLoss("generator_loss")]
    metrics.append(Share("real_accuracy"))
    if matching_aware:
        metrics.append(Share("mismatched_accuracy"))
    metrics += [Share("generated_accuracy"), RelativeDiversity("diversity")]
    if mode_seeking_weight:
        metrics.append(ReplicaLoss(NOT_EVALUATED))
    if matching_schedule is not None:
        metrics.append(keras.metrics.Mean("mismatch_weight"))
    return {metric.name: metric for metric in metrics}
