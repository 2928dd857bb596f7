"""What color pictures have around what they show."""

import numpy as np


def background_colors(images, masks=None):
    """Returns the mean color of the background of each picture.

    Args:
        images: uint8 array of shape `(num_images, height, width, 3)`.
        masks: bool array of shape `(num_images, height, width)`, true where a
            pixel is background, at least one in each picture. Defaults to
            `None`: the border, a 25th of the shorter side wide and at least
            two pixels.

    Returns:
        float array of shape `(num_images, 3)`, in [0, 255].

    Raises:
        ValueError: the shapes do not fit, or a picture has no background.

    Example:

    >>> images = np.full((1, 32, 32, 3), 200, "uint8")
    >>> images[:, 8:24, 8:24] = 0
    >>> keras_t2i.metrics.background_colors(images)
    array([[200., 200., 200.]])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            "`images` must be uint8 of shape (num_images, height, width, 3). "
            f"Received: {images.dtype} of shape {images.shape}"
        )
    if masks is None:
        masks = np.broadcast_to(_border(*images.shape[1:3]), images.shape[:3])
    masks = np.asarray(masks)
    if masks.dtype != bool or masks.shape != images.shape[:3]:
        raise ValueError(
            f"`masks` must be bool of shape {images.shape[:3]}. Received: "
            f"{masks.dtype} of shape {masks.shape}"
        )
    counts = masks.sum(axis=(1, 2))
    if not counts.all():
        raise ValueError(
            "`masks` must leave each picture some background. Received: none "
            f"for picture {int(np.argmin(counts))}"
        )
    sums = np.sum(images * masks[..., None], axis=(1, 2), dtype=np.float64)
    return sums / counts[:, None]


def _border(height, width):
    thickness = max(2, round(0.04 * min(height, width)))
    border = np.ones((height, width), bool)
    border[thickness:-thickness, thickness:-thickness] = False
    return border
