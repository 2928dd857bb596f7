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
    replica = tf.distribute.get_replica_context()
    # All replicas draw the noise of the global batch and take their share: no
    # two rows are alike, and the rows are those that one device would draw.
    noise = tf.random.stateless_normal(
        [num_rows * replica.num_replicas_in_sync, noise_dim],
        tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)]),
        alg="philox",
    )
    first = tf.cast(replica.replica_id_in_sync_group, tf.int32) * num_rows
    return noise[first : first + num_rows]
