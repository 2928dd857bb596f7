"""What keeps a generator from ignoring its noise."""

import tensorflow as tf
from keras import ops

from keras_t2i.types import Tensor

# As in the paper's code: images that are all alike give a finite loss.
_EPSILON = 1e-5
# Squares on a side of a layout.
_LAYOUT_SIZE = 16


def layouts(images: Tensor) -> Tensor:
    """Reduces images to where things are, whatever their color and contrast.

    A generator can satisfy `mode_seeking_loss` by brightness or grain alone.
    Layouts leave both out: they are means over squares, less the mean of each
    image and channel, divided by its deviation.

    Args:
        images: tensor of shape `(batch, size, size, 3)`, whose size is a
            multiple of 16.

    Returns:
        float32 tensor of shape `(batch, 16, 16, 3)`.

    Example:

    >>> images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    >>> same = keras_t2i.losses.layouts(0.5 * images + 0.25)
    >>> bool(np.allclose(same, keras_t2i.losses.layouts(images), atol=1e-2))
    True
    """
    images = ops.cast(images, "float32")
    side = images.shape[1] // _LAYOUT_SIZE
    coarse = ops.average_pool(images, side, data_format="channels_last")
    coarse -= ops.mean(coarse, axis=(1, 2), keepdims=True)
    variance = ops.mean(ops.square(coarse), axis=(1, 2), keepdims=True)
    # Images of one color have no layout, and no infinite gradient.
    return coarse * ops.rsqrt(variance + 1e-4)


def mode_seeking_loss(
    images: Tensor, other_images: Tensor, noise: Tensor, other_noise: Tensor
) -> Tensor:
    """Scores how little images of one text change with their noise.

    The loss is the inverse of the mean distance between the images of a pair,
    in units of the mean distance between their noise. Both distances are mean
    absolute differences. The gradient falls with the square of that ratio: it
    is strong for images that are alike, and weak for those that are not.

    Args:
        images: tensor of shape `(batch, height, width, 3)`, in [-1, 1].
        other_images: likewise, row by row of the same texts.
        noise: tensor of shape `(batch, noise_dim)`. What `images` were
            generated from.
        other_noise: likewise, of `other_images`.

    Returns:
        Scalar tensor. Under a strategy, the distances are means over all
        replicas, and the loss is this replica's share, as that of a
        `keras.losses.Loss` is.

    Example:

    >>> black, white = -np.ones((1, 2, 2, 3)), np.ones((1, 2, 2, 3))
    >>> noise, other_noise = np.zeros((1, 4)), np.ones((1, 4))
    >>> loss = keras_t2i.losses.mode_seeking_loss(
    ...     black, white, noise, other_noise
    ... )
    >>> round(float(loss), 4)
    0.5

    Reference:
        - [Mao et al., 2019](https://arxiv.org/abs/1903.05628), Mode Seeking
          Generative Adversarial Networks, section 3.2.
    """
    replica = tf.distribute.get_replica_context()
    image_distance, noise_distance = replica.all_reduce(
        tf.distribute.ReduceOp.MEAN,
        [
            ops.mean(ops.abs(images - other_images)),
            ops.mean(ops.abs(noise - other_noise)),
        ],
    )
    ratio = image_distance / noise_distance
    return 1.0 / (ratio + _EPSILON) / replica.num_replicas_in_sync
