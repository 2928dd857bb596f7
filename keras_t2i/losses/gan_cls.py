"""The losses of GAN, GAN-CLS, GAN-INT and GAN-INT-CLS."""

from keras import ops


def discriminator_loss(
    real_logits,
    generated_logits,
    loss_fn,
    mismatched_logits=None,
    mismatch_weight=0.5,
):
    """Scores the discriminator on real, mismatched and generated pairs.

    A real image with its own text must be accepted; a real image with another
    text, and a generated image with the text it was made from, refused.

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
    generated_logits,
    loss_fn,
    interpolated_logits=None,
    interpolation_weight=1.0,
):
    """Scores the generator by how far its pictures are taken for real.

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
