"""Random shifts and cut-out squares that gradients pass through."""

from keras import ops


def augment(images, uniform, translation, cutout):
    """Shifts images and cuts a square out of them.

    Colors stay as they are: captions name them.

    Args:
        images: float tensor of shape `(batch, size, size, channels)`, in
            [-1, 1].
        uniform: float tensor of shape `(batch, 4)`, in [0, 1): where the image
            is shifted to and where the square lies, down and right each.
        translation: float in [0, 1). The largest shift, as a share of the side.
            What comes in from outside is mid-gray.
        cutout: float in [0, 1). Side of the square, which becomes mid-gray, as
            a share of the image's. Its center lies anywhere in the image.

    Returns:
        Tensor of the same shape.

    Reference:
        - [Zhao et al., 2020](https://arxiv.org/abs/2006.10738),
          Differentiable Augmentation for Data-Efficient GAN Training.
    """
    size = images.shape[1]
    if translation:
        most = round(translation * size)
        shifts = ops.floor(uniform[:, :2] * (2 * most + 1)) - most
        images = _shifted(images, shifts[:, 0])
        images = ops.transpose(images, (0, 2, 1, 3))
        images = _shifted(images, shifts[:, 1])
        images = ops.transpose(images, (0, 2, 1, 3))
    if cutout:
        half = round(cutout * size) / 2.0
        centers = ops.floor(uniform[:, 2:] * size)[:, :, None]
        places = ops.arange(size, dtype=centers.dtype)[None, None]
        # (batch, 2, size): which rows and which columns the square has.
        inside = ops.logical_and(
            places >= centers - half, places < centers + half
        )
        square = ops.logical_and(
            inside[:, 0, :, None, None], inside[:, 1, None, :, None]
        )
        images = ops.where(square, ops.zeros_like(images), images)
    return images


def _shifted(images, shifts):
    """Shifts each image down by its number of rows."""
    # By a product with a permutation: a gather's gradient is much slower.
    size, width, channels = images.shape[1:]
    places = ops.arange(size, dtype=shifts.dtype)
    permutation = ops.cast(
        places[None, :, None] - shifts[:, None, None] == places[None, None, :],
        images.dtype,
    )
    rows = ops.reshape(images, (-1, size, width * channels))
    return ops.reshape(
        ops.matmul(permutation, rows), (-1, size, width, channels)
    )
