"""Weights that a SavedModel stores in half precision and casts where used."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class HalfPrecisionWeights:
    """Copies of the weights of networks in half precision.

    Vectors, such as those of normalization, stay as they are: they are small.
    So are all weights in half precision that come with the library.

    Args:
        networks: list of `keras.Model`.

    Attributes:
        variables: list of `tf.Variable`. What a SavedModel must hold.

    Raises:
        ValueError: a weight is not finite, or too large for half precision.
    """

    def __init__(self, networks: Sequence[keras.Model]):
        self.variables: list[tf.Variable] = []
        self._copies: list[tuple[Any, tf.Variable]] = []
        for weight in (w for network in networks for w in network.weights):
            variable = weight.value
            if weight.dtype == "float32" and len(weight.shape) > 1:
                half = tf.cast(variable, tf.float16)
                if not tf.reduce_all(tf.math.is_finite(half)):
                    raise ValueError(
                        f"{weight.path} must be finite in half precision. "
                        f"Received: values up to "
                        f"{tf.reduce_max(tf.abs(variable)).numpy():g}. Export "
                        "without `half_precision`."
                    )
                variable = tf.Variable(half, trainable=False, name=weight.name)
                self._copies.append((weight, variable))
            self.variables.append(variable)

    def in_use(self) -> contextlib.AbstractContextManager[Any]:
        """Makes the networks compute with the copies, within a graph."""
        return keras.StatelessScope(
            [
                (weight, tf.cast(half, "float32"))
                for weight, half in self._copies
            ]
        )
