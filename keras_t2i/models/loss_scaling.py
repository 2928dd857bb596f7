"""Scaled losses on several devices."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops


def skipped_together(optimizer, gradients):
    """Makes gradients NaN on all replicas where they overflow on one.

    `LossScaleOptimizer` leaves a step out whose gradients are not finite, and
    asks the first replica alone: the others' would spoil the weights.

    Args:
        optimizer: `keras.optimizers.Optimizer`.
        gradients: list of tensors or `None`.

    Returns:
        list of tensors or `None`. As they are, without several replicas or a
        `LossScaleOptimizer`.
    """
    replica = tf.distribute.get_replica_context()
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if replica.num_replicas_in_sync == 1 or not scales:
        return gradients
    finite = [ops.all(ops.isfinite(g)) for g in gradients if g is not None]
    num_bad = replica.all_reduce(
        tf.distribute.ReduceOp.SUM,
        ops.cast(ops.logical_not(ops.all(ops.stack(finite))), "float32"),
    )
    extra = ops.where(num_bad > 0.0, np.nan, 0.0)
    return [
        None if g is None else g + ops.cast(extra, g.dtype) for g in gradients
    ]
