"""The noise of the generator: the one place that it comes from."""

import enum

import tensorflow as tf


def noise_from_seeds(seeds, noise_dim):
    """Draws one row of normal noise for each seed.

    A row depends on its own seed alone, so a picture can be drawn again in
    any batch.

    Args:
        seeds: int64 tensor of shape `(batch,)`.
        noise_dim: int.

    Returns:
        float32 tensor of shape `(batch, noise_dim)`.
    """

    def row(seed):
        return tf.random.stateless_normal(
            [noise_dim], tf.stack([seed, 0]), alg="philox"
        )

    return tf.map_fn(
        row, tf.cast(seeds, tf.int64), fn_output_signature=tf.float32
    )


class Stream(enum.IntEnum):
    """What the random numbers of a GAN's step are for: each has its own."""

    GENERATOR = 0
    REAL_IMAGES = 1
    GENERATED_IMAGES = 2
    REAL_AUGMENTATION = 7
    GENERATED_AUGMENTATION = 8


# Rows of repeated texts have streams of their own, numbered from here: the rows
# before them would otherwise change with the number of devices.
_FIRST_REPEATED = 3


class StepNoise:
    """The random numbers of one training step, for this replica's rows.

    They are a function of seed, stream and step. All replicas generate the rows
    of the global batch and take their share: no two rows are alike, and the
    rows are those that one device would have.

    Args:
        seed: int.
        step: int scalar tensor. Steps trained before.
    """

    def __init__(self, seed, step):
        self.seed = seed
        self.step = step

    def normal(self, stream, rows, dim):
        """Returns normal noise.

        Args:
            stream: int, such as a `Stream`.
            rows: int or scalar tensor, the number of rows on each replica; or
                `GeneratorTexts`, one row for each of its texts.
            dim: int.

        Returns:
            float32 tensor of shape `(num_rows, dim)`.
        """
        return self._rows(tf.random.stateless_normal, stream, rows, dim)

    def uniform(self, stream, rows, dim):
        """Returns uniform numbers in [0, 1), as `normal` does."""
        return self._rows(tf.random.stateless_uniform, stream, rows, dim)

    def _rows(self, distribution, stream, rows, dim):
        if not hasattr(rows, "num_texts"):
            return self._share(distribution, stream, rows, dim)
        if not rows.repeats:
            return self._share(distribution, stream, rows.num_texts, dim)
        num_repeated = rows.num_texts - rows.num_once
        return tf.concat(
            [
                self._share(distribution, stream, rows.num_once, dim),
                self._share(
                    distribution, stream + _FIRST_REPEATED, num_repeated, dim
                ),
            ],
            axis=0,
        )

    def _share(self, distribution, stream, num_rows, dim):
        replica = tf.distribute.get_replica_context()
        seed = tf.cast(self.seed + stream, tf.int64)
        rows = distribution(
            [num_rows * replica.num_replicas_in_sync, dim],
            tf.stack([seed, tf.cast(self.step, tf.int64)]),
            alg="philox",
        )
        first = tf.cast(replica.replica_id_in_sync_group, tf.int32) * num_rows
        return rows[first : first + num_rows]


def between_noises(noise_from, noise_to, weight):
    """Interpolates spherically between rows of noise.

    On the straight line between two of them lies noise that is shorter than
    the generator has ever seen.

    Args:
        noise_from: float32 tensor of shape `(batch, noise_dim)`.
        noise_to: float32 tensor of the same shape.
        weight: float32 tensor of shape `(batch,)`. 0 is `noise_from`, 1 is
            `noise_to`.

    Returns:
        float32 tensor of shape `(batch, noise_dim)`. Of two equal rows, that
        row, exactly.
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
    # Rows in one line, such as equal ones, have no arc between them.
    straight = noise_from + weight * (noise_to - noise_from)
    return tf.where(sine < 1e-3, straight, spherical)
