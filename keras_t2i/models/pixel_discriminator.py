"""A discriminator without batch norm, held in check by a gradient penalty."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers
from keras import ops

from keras_t2i.checks import check_image_size
from keras_t2i.checks import check_not_negative
from keras_t2i.configured_model import PlainLayer
from keras_t2i.models.discriminator import TextDiscriminator
from keras_t2i.models.discriminator import scoring_head
from keras_t2i.models.layers import BoxedConv2D
from keras_t2i.types import Tensor


@keras.saving.register_keras_serializable("keras_t2i")
class PixelDiscriminator(TextDiscriminator):
    """Judges images and texts from the pixels, as `Discriminator` does.

    Unlike `Discriminator` it has no batch norm. Its stride-2 convolutions
    cannot send checkerboards to the generator, one of its channels is the
    deviation within the batch, and the text joins twice: as in the paper, and
    by a projection. In training, the gradient of its logit with respect to real
    images is penalized every few steps (lazy R1).

    Args:
        image_size: int. Side of the images: 32, 64, 128 or 256. Defaults to
            `64`.
        width: int. Channels of the map of 32x32; each smaller map has twice as
            many, each larger one half as many. Defaults to `32`.
        penalty_weight: float. Weight gamma of the gradient penalty; 0 leaves
            it out. Defaults to `1.0`.
        penalty_interval: int. Steps from one penalty to the next, which is
            multiplied by their number. Defaults to `16`.
        text_embedding_dim: int. Defaults to `1024`.
        text_projection_dim: int. Size of the text that is tiled. Defaults to
            `128`.
        projection_dim: int. Size of the vectors of image and text that are
            multiplied. Defaults to `256`.

    Call input: dict of `images` in [-1, 1], `(batch, image_size, image_size,
    3)`, and `text_embeddings`, `(batch, text_embedding_dim)`. Output: float32
    logits of shape `(batch, 1)`.

    Example:

    >>> discriminator = keras_t2i.PixelDiscriminator(
    ...     32, width=4, text_embedding_dim=16
    ... )
    >>> pairs = {"images": np.zeros((2, 32, 32, 3))}
    >>> pairs["text_embeddings"] = np.zeros((2, 16))
    >>> discriminator(pairs).shape
    TensorShape([2, 1])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.1.
        - [Mescheder et al., 2018](https://arxiv.org/abs/1801.04406), R1.
        - [Karras et al., 2020](https://arxiv.org/abs/1912.04958), lazy
          regularization.
    """

    def __init__(
        self,
        image_size: int = 64,
        width: int = 32,
        penalty_weight: float = 1.0,
        penalty_interval: int = 16,
        text_embedding_dim: int = 1024,
        text_projection_dim: int = 128,
        projection_dim: int = 256,
        **kwargs: Any,
    ) -> None:
        check_image_size(image_size)
        check_not_negative(penalty_weight=penalty_weight)
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))
        trunk = _trunk(image_size, width, policy)
        head = scoring_head(
            keras.Input(trunk.output_shape[1:], name="features"),
            text_embedding_dim,
            text_projection_dim,
            projection_dim,
            policy,
        )

        super().__init__(trunk, head, image_size, text_embedding_dim, **kwargs)

        # === Config ===
        self.set_arguments(
            policy,
            image_size=image_size,
            width=width,
            penalty_weight=penalty_weight,
            penalty_interval=penalty_interval,
            text_embedding_dim=text_embedding_dim,
            text_projection_dim=text_projection_dim,
            projection_dim=projection_dim,
        )

    def regularization(
        self, views: Tensor, text_embeddings: Tensor, step: Tensor
    ) -> Tensor:
        """Returns what is added to the loss: `gradient_penalty`."""
        if not self.penalty_weight:
            return 0.0

        def logits(images: Tensor) -> Tensor:
            features = self.trunk(images, training=True)
            return self.head(
                {"features": features, "text_embeddings": text_embeddings},
                training=True,
            )

        return gradient_penalty(
            logits, views, self.penalty_weight, self.penalty_interval, step
        )


def _trunk(image_size: int, width: int, policy: Any) -> keras.Model:
    images = keras.Input((image_size, image_size, 3), name="images")
    x = images
    size = image_size
    while size > 4:
        size //= 2
        x = BoxedConv2D(
            max(1, 32 * width // size), dtype=policy, name=f"convolution_{size}"
        )(x)
        x = layers.LeakyReLU(0.2, dtype=policy, name=f"activation_{size}")(x)
    filters = x.shape[-1]
    x = MinibatchDeviation(dtype=policy, name="minibatch_deviation")(x)
    x = layers.Conv2D(
        filters,
        3,
        padding="same",
        kernel_initializer="he_normal",
        dtype=policy,
        name="convolution",
    )(x)
    x = layers.LeakyReLU(0.2, dtype=policy, name="activation")(x)
    return keras.Model(images, x, name="trunk")


@keras.saving.register_keras_serializable("keras_t2i")
class MinibatchDeviation(PlainLayer):
    """Appends the mean standard deviation over the batch as a channel.

    A generator whose images are all alike is then easy to tell. On several
    devices the deviation is that of each device's rows.

    Call input: tensor of shape `(batch, height, width, channels)`. Output:
    `(batch, height, width, channels + 1)`.

    Reference:
        - [Karras et al., 2018](https://arxiv.org/abs/1710.10196), section 3.
    """

    def call(self, inputs: Tensor) -> Tensor:
        # float32: squares of half-precision numbers overflow or vanish.
        variance = ops.var(ops.cast(inputs, "float32"), axis=0)
        deviation = ops.mean(ops.sqrt(variance + 1e-8))
        channel = ops.ones_like(inputs[..., :1]) * ops.cast(
            deviation, inputs.dtype
        )
        return ops.concatenate([inputs, channel], axis=-1)

    def compute_output_shape(
        self, input_shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        return (*input_shape[:-1], input_shape[-1] + 1)


def gradient_penalty(
    logits_of: Callable[[Tensor], Tensor],
    images: Tensor,
    weight: float,
    interval: int,
    step: Tensor,
) -> Tensor:
    """Penalizes the gradient of logits with respect to images, lazily.

    Args:
        logits_of: function of images to logits of shape `(batch, 1)`.
        images: float tensor of shape `(batch, height, width, channels)`.
        weight: float. Gamma of the reference.
        interval: int. Steps from one penalty to the next.
        step: int tensor.

    Returns:
        Scalar float32 tensor: in every `interval`-th step `interval * weight /
        2` times the mean over the images of the squared norm of the gradient,
        and 0 in between. On several devices, each device's share of it.

    Reference:
        - [Mescheder et al., 2018](https://arxiv.org/abs/1801.04406), equation
          9.
        - [Karras et al., 2020](https://arxiv.org/abs/1912.04958), appendix B.
    """

    def penalty() -> Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = tf.reduce_sum(logits_of(images))
        gradient = tf.cast(tape.gradient(logits, images), tf.float32)
        square = tf.reduce_sum(tf.square(gradient), axis=(1, 2, 3))
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return 0.5 * weight * interval / replicas * tf.reduce_mean(square)

    return tf.cond(
        tf.equal(tf.cast(step, tf.int64) % interval, 0),
        penalty,
        lambda: tf.constant(0.0),
    )
