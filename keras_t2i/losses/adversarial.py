"""Losses of discriminators and generators, from logits or from images."""

import functools
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_t2i.types import Tensor

# As in the paper's code: images that are all alike give a finite loss.
_EPSILON = 1e-5
# Squares on a side of a layout.
_LAYOUT_SIZE = 16


def discriminator_loss(
    real_logits: Tensor,
    generated_logits: Tensor,
    loss_fn: keras.losses.Loss,
    mismatched_logits: Tensor | None = None,
    mismatch_weight: Tensor = 0.5,
) -> Tensor:
    """Scores the discriminator on real, mismatched and generated pairs.

    It must accept a real image with its own text. It must refuse a real image
    with another text, and a generated image with its own text.

    Args:
        real_logits: tensor of shape `(batch, 1)`. Real image, own text.
        generated_logits: tensor of shape `(batch, 1)`. Generated image, the
            text it was made from.
        loss_fn: `keras.losses.Loss` of labels and logits, such as
            `keras.losses.BinaryCrossentropy(from_logits=True)`.
        mismatched_logits: tensor of shape `(batch, 1)`. Real image, text of
            another class. Defaults to `None`: a plain conditional GAN.
        mismatch_weight: float or scalar tensor in [0, 1]. Share of the
            refused half that the mismatched pairs have. Defaults to `0.5`.

    Returns:
        Scalar tensor.

    Example:

    >>> loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
    >>> logits = keras.ops.zeros((4, 1))
    >>> loss = keras_t2i.losses.discriminator_loss(
    ...     logits, logits, loss_fn, mismatched_logits=logits
    ... )
    >>> round(float(loss), 4)
    1.3863

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), Algorithm 1.
    """
    accepted = loss_fn(ops.ones_like(real_logits), real_logits)
    refused = loss_fn(ops.zeros_like(generated_logits), generated_logits)
    if mismatched_logits is None:
        return accepted + refused
    mismatched = loss_fn(ops.zeros_like(mismatched_logits), mismatched_logits)
    return (
        accepted
        + mismatch_weight * mismatched
        + (1.0 - mismatch_weight) * refused
    )


def generator_loss(
    generated_logits: Tensor,
    loss_fn: keras.losses.Loss,
    interpolated_logits: Tensor | None = None,
    interpolation_weight: float = 1.0,
) -> Tensor:
    """Scores the generator by how far its images pass for real.

    Args:
        generated_logits: tensor of shape `(batch, 1)`. Generated image, the
            text it was made from.
        loss_fn: `keras.losses.Loss` of labels and logits.
        interpolated_logits: tensor of shape `(batch // 2, 1)`. Generated
            image, the interpolated text it was made from. Defaults to `None`.
        interpolation_weight: float. Defaults to `1.0`.

    Returns:
        Scalar tensor.

    Example:

    >>> loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
    >>> logits = keras.ops.zeros((4, 1))
    >>> loss = keras_t2i.losses.generator_loss(logits, loss_fn)
    >>> round(float(loss), 4)
    0.6931

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), Algorithm 1
          and equation 5.
    """
    loss = loss_fn(ops.ones_like(generated_logits), generated_logits)
    if interpolated_logits is None:
        return loss
    interpolated = loss_fn(
        ops.ones_like(interpolated_logits), interpolated_logits
    )
    return loss + interpolation_weight * interpolated


@keras.saving.register_keras_serializable("keras_t2i")
class RelativisticPairing(keras.losses.Loss):
    """Softplus of how far the wrong pair scores above the right one.

    For a discriminator, the right pair is a real image with its own text; the
    wrong one is a generated image, or a mismatching text. For the generator it
    is the other way round. A generator that leaves out kinds of images loses
    the comparisons with them.

    Call inputs: `y_true`, the logits that must be higher, and `y_pred`, the
    logits that must be lower, both of shape `(batch, num_logits)`.

    Example:

    >>> from keras_t2i.losses import RelativisticPairing
    >>> loss = RelativisticPairing()
    >>> logits = keras.ops.zeros((4, 1))
    >>> round(float(loss(logits, logits)), 4)
    0.6931

    Reference:
        - [Jolicoeur-Martineau, 2018](https://arxiv.org/abs/1807.00734).
        - [Huang et al., 2025](https://arxiv.org/abs/2501.05441), R3GAN.
    """

    def __init__(
        self, name: str = "relativistic_pairing", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if len(y_true.shape) != len(y_pred.shape):
            raise ValueError(
                "`y_true` and `y_pred` must have one shape. Received: "
                f"{y_true.shape} and {y_pred.shape}"
            )
        return ops.mean(ops.softplus(y_pred - y_true), axis=-1)


class LabelObjective:
    """Each pair is real or it is not: the paper's Algorithm 1.

    Logits are those of one discriminator, `(batch, num_logits)`.
    """

    def __init__(self) -> None:
        self._loss = keras.losses.BinaryCrossentropy(from_logits=True)

    def discriminator_loss(
        self,
        real: Tensor,
        generated: Tensor,
        mismatched: Tensor | None = None,
        mismatch_weight: Tensor = 0.5,
    ) -> Tensor:
        """Scores a discriminator, as `keras_t2i.losses.discriminator_loss`."""
        return discriminator_loss(
            real, generated, self._loss, mismatched, mismatch_weight
        )

    def generator_loss(self, generated: Tensor, real: Tensor) -> Tensor:
        """Scores a generator, whatever the real pairs."""
        return generator_loss(generated, self._loss)

    def judged_right(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tells which pairs a discriminator has judged correctly.

        `scores` maps `"real"`, `"generated"` and, if there are any,
        `"mismatched"` pairs to scores of shape `(batch, 1)`. The result maps
        these names to bool tensors of the same shape.
        """
        return {
            name: score > 0 if name == "real" else score <= 0
            for name, score in scores.items()
        }


class RelativisticObjective:
    """A real pair scores above the generated and the mismatched of its row.

    The methods are those of `LabelObjective`.
    """

    def __init__(self) -> None:
        self._pairing = RelativisticPairing()

    def discriminator_loss(
        self,
        real: Tensor,
        generated: Tensor,
        mismatched: Tensor | None = None,
        mismatch_weight: Tensor = 0.5,
    ) -> Tensor:
        """Scores a discriminator.

        A `mismatch_weight` of 0.5, the paper's, counts both comparisons alike.
        """
        loss = self._pairing(real, generated)
        if mismatched is not None:
            loss += 2.0 * mismatch_weight * self._pairing(real, mismatched)
        return loss

    def generator_loss(self, generated: Tensor, real: Tensor) -> Tensor:
        """Scores a generator by its pairs beside the real ones of the rows."""
        return self._pairing(generated, real[: ops.shape(generated)[0]])

    def judged_right(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tells which real pairs score above the others, and which below."""
        real = scores["real"]
        below = {
            name: score < real
            for name, score in scores.items()
            if name != "real"
        }
        above = functools.reduce(ops.logical_and, below.values())
        return {"real": above, **below}


def mean_scores(logits: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
    """Returns a score for each pair: the sum of the discriminators' means.

    `logits` maps names to lists, with a tensor of shape `(batch, num_logits)`
    for each discriminator. The result maps these names to scores of shape
    `(batch, 1)`.
    """
    return {
        name: sum(ops.mean(rows, axis=-1, keepdims=True) for rows in members)
        for name, members in logits.items()
    }


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

    Raises:
        ValueError: the size is no multiple of 16.

    Example:

    >>> images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    >>> same = keras_t2i.losses.layouts(0.5 * images + 0.25)
    >>> bool(np.allclose(same, keras_t2i.losses.layouts(images), atol=1e-2))
    True
    """
    images = ops.cast(images, "float32")
    if len(images.shape) != 4 or images.shape[1] % _LAYOUT_SIZE:
        raise ValueError(
            "`images` must have the shape (batch, size, size, 3), with a size "
            f"that is a multiple of {_LAYOUT_SIZE}. Received: {images.shape}"
        )
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

    Raises:
        ValueError: the images are integers, whose differences would wrap.

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
    for name, some in (("images", images), ("other_images", other_images)):
        if not keras.backend.is_float_dtype(some.dtype):
            raise ValueError(
                f"`{name}` must be floats in [-1, 1]. Received: {some.dtype}"
            )
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
