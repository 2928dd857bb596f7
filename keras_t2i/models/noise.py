"""The noise of the generator: the one place that it comes from."""

import enum
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from keras_t2i.models.batch_texts import GeneratorTexts
from keras_t2i.models.batch_texts import rows_per_device
from keras_t2i.types import Tensor


def noise_from_seeds(seeds: Tensor, noise_dim: int) -> Tensor:
    """Samples one row of normal noise for each seed.

    A row depends on its own seed alone, so an image can be generated again in
    any batch. `seeds` is int64 of shape `(batch,)`, and the noise is float32 of
    shape `(batch, noise_dim)`.
    """

    def row(seed: Tensor) -> Tensor:
        return tf.random.stateless_normal(
            [noise_dim], tf.stack([seed, 0]), alg="philox"
        )

    return tf.map_fn(
        row, tf.cast(seeds, tf.int64), fn_output_signature=tf.float32
    )


def seeds_of_rows(seed: Any, num_rows: int, name: str = "seed") -> np.ndarray:
    """Returns one int64 seed per row.

    `seed` is an int, the first of consecutive seeds, or one int per row. Raises
    `ValueError` if the seeds are not such ints, or too few or too many. The
    error calls the argument `name`.
    """
    if tf.is_tensor(seed):
        seed = seed.numpy()
    seeds = np.asarray(seed, object)
    whole = all(
        isinstance(value, int | np.integer) and not isinstance(value, bool)
        for value in seeds.flat
    )
    if whole and seeds.ndim == 0:
        # An int of Python: one of NumPy is 0 after the last of its type.
        seeds = int(seeds.item()) + np.arange(num_rows).astype(object)
    if not whole or not all(-(2**63) <= value < 2**63 for value in seeds.flat):
        raise ValueError(
            f"`{name}` must be whole numbers of 64 bits. Received: "
            f"{seed!r} for {num_rows} captions"
        )
    if seeds.shape != (num_rows,):
        raise ValueError(
            f"`{name}` must be one int, or one int for each of the "
            f"{num_rows} captions. Received: {seed!r}"
        )
    return seeds.astype(np.int64)


def noise_of_batch(rows: Tensor, noise_dim: int) -> Tensor:
    """Samples noise from the seeds 0, 1, ... for the rows of a batch.

    On several devices the seeds go on from one device to the next. `rows` has
    the shape `(batch, ...)`, and the noise is float32 of shape
    `(batch, noise_dim)`.
    """
    num_rows = ops.shape(rows)[0]
    replica = tf.distribute.get_replica_context()
    first = 0
    if replica is not None and replica.num_replicas_in_sync > 1:
        index = tf.cast(replica.replica_id_in_sync_group, tf.int32)
        first = index * rows_per_device(num_rows)
    return noise_from_seeds(first + tf.range(num_rows), noise_dim)


class Stream(enum.IntEnum):
    """The uses of random numbers in a step of a GAN, one stream for each."""

    GENERATOR = 0
    REAL_IMAGES = 1
    GENERATED_IMAGES = 2
    # Repeated texts take streams that are 3 higher: 3 to 5 are not free.
    REAL_AUGMENTATION = 7
    GENERATED_AUGMENTATION = 8


# Repeated texts have streams of their own, numbered from here. In one stream,
# the rows before them would depend on the number of devices.
_FIRST_REPEATED = 3


class StepNoise:
    """The random numbers of one training step, for this replica's rows.

    They are a function of seed, stream and step. Every replica generates the
    rows of the global batch and takes its share of them. So no two rows are
    alike, and several devices have the rows that one would have. `step`, an int
    scalar, is the number of steps trained before.
    """

    def __init__(self, seed: int, step: Tensor) -> None:
        self.seed = seed
        self.step = step

    def normal(
        self, stream: int, rows: Tensor | GeneratorTexts, dim: int
    ) -> Tensor:
        """Returns normal noise, float32 of shape `(num_rows, dim)`.

        `stream` is an int such as a `Stream`. `rows` is the number of rows on
        each replica, an int or scalar tensor; or `GeneratorTexts`, one row for
        each of its texts.
        """
        return self._rows(tf.random.stateless_normal, stream, rows, dim)

    def uniform(
        self, stream: int, rows: Tensor | GeneratorTexts, dim: int
    ) -> Tensor:
        """Returns uniform numbers in [0, 1), as `normal` does."""
        return self._rows(tf.random.stateless_uniform, stream, rows, dim)

    def _rows(
        self,
        distribution: Callable,
        stream: int,
        rows: Tensor | GeneratorTexts,
        dim: int,
    ) -> Tensor:
        if not isinstance(rows, GeneratorTexts):
            return self._share(distribution, stream, [rows], dim)
        groups = [rows.num_matched, rows.num_once - rows.num_matched]
        once = self._share(distribution, stream, groups, dim)
        if not rows.repeats:
            return once
        groups = [rows.num_texts - rows.num_once]
        stream += _FIRST_REPEATED
        repeated = self._share(distribution, stream, groups, dim)
        return tf.concat([once, repeated], axis=0)

    def _share(
        self, distribution: Callable, stream: int, groups: list, dim: int
    ) -> Tensor:
        """Generates groups of rows, those of all replicas one after another."""
        replica = tf.distribute.get_replica_context()
        num_replicas = replica.num_replicas_in_sync
        seed = tf.cast(self.seed + stream, tf.int64)
        # A device with fewer rows takes the first ones of its share.
        sizes = [rows_per_device(num_rows) for num_rows in groups]
        rows = distribution(
            [sum(sizes) * num_replicas, dim],
            tf.stack([seed, tf.cast(self.step, tf.int64)]),
            alg="philox",
        )
        if num_replicas == 1:
            return rows
        index = tf.cast(replica.replica_id_in_sync_group, tf.int32)
        shares, start = [], 0
        for num_rows, size in zip(groups, sizes):
            first = start + index * size
            shares.append(rows[first : first + num_rows])
            start += size * num_replicas
        return tf.concat(shares, axis=0)


def slerp(noise_from: Tensor, noise_to: Tensor, weight: Tensor) -> Tensor:
    """Interpolates spherically between rows of noise.

    Noise on the straight line between two rows is shorter than any that the
    generator has seen.

    The noise is float32 of shape `(batch, noise_dim)`. `weight`, float32 of
    shape `(batch,)`, is 0 for `noise_from` and 1 for `noise_to`. Between two
    equal rows, the result is exactly that row.
    """
    weight = weight[:, None]
    cosine = tf.reduce_sum(
        tf.math.l2_normalize(noise_from, axis=1)
        * tf.math.l2_normalize(noise_to, axis=1),
        axis=1,
        keepdims=True,
    )
    angle = tf.acos(tf.clip_by_value(cosine, -1.0, 1.0))
    sine = tf.sin(angle)
    spherical = (
        tf.math.divide_no_nan(tf.sin((1.0 - weight) * angle), sine) * noise_from
        + tf.math.divide_no_nan(tf.sin(weight * angle), sine) * noise_to
    )
    # Rows on one line, such as equal ones, have no arc between them.
    straight = noise_from + weight * (noise_to - noise_from)
    return tf.where(sine < 1e-3, straight, spherical)
