"""The noise of the generator: the one place that it comes from."""

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


def noise_of_step(seed, step, num_rows, noise_dim):
    """Draws the noise of one training step, for this replica's rows.

    Args:
        seed: int.
        step: int tensor. The optimizer's iteration.
        num_rows: int or int tensor. Rows on each replica.
        noise_dim: int.

    Returns:
        float32 tensor of shape `(num_rows, noise_dim)`.
    """
    return _rows_of_step(
        tf.random.stateless_normal, seed, step, num_rows, noise_dim
    )


def uniform_of_step(seed, step, num_rows, dim):
    """Draws uniform numbers in [0, 1) for one step, as `noise_of_step` does."""
    return _rows_of_step(tf.random.stateless_uniform, seed, step, num_rows, dim)


def _rows_of_step(distribution, seed, step, num_rows, dim):
    replica = tf.distribute.get_replica_context()
    # All replicas draw the rows of the global batch and take their share: no
    # two rows are alike, and the rows are those that one device would draw.
    rows = distribution(
        [num_rows * replica.num_replicas_in_sync, dim],
        tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)]),
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
