"""Captions in the styles of given pictures."""

import numpy as np

from keras_t2i.plots.picture_rows import checked_pictures
from keras_t2i.plots.picture_rows import checked_texts
from keras_t2i.plots.picture_rows import picture_rows


def transfer_grid(style_images, images, captions):
    """Draws style pictures down the left side, and captions across.

    Args:
        style_images: uint8 array of shape `(styles, height, width, 3)`.
        images: uint8 array of shape `(styles, captions, height, width, 3)`,
            as `TextToImageGAN.transfer_style` returns it.
        captions: list of strings, one a column.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: the shapes do not fit.

    Example:

    >>> styles = np.zeros((2, 32, 32, 3), "uint8")
    >>> images = np.zeros((2, 3, 32, 32, 3), "uint8")
    >>> figure = keras_t2i.plots.transfer_grid(
    ...     styles, images, ["a rose", "a tulip", "an iris"]
    ... )
    >>> [axes.get_title() for axes in figure.axes[:4]]
    ['style of', 'a rose', 'a tulip', 'an iris']

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    style_images = checked_pictures(
        style_images, "(styles, height, width, 3)", "style_images"
    )
    images = checked_pictures(images, "(styles, captions, height, width, 3)")
    captions = checked_texts(captions, "captions", images.shape[1], "columns")
    expected = (len(images), *images.shape[2:])
    if style_images.shape != expected:
        raise ValueError(
            "`style_images` must hold one picture, of the size of `images`, "
            f"for each of their rows: shape {expected}. Received: "
            f"{style_images.shape}"
        )
    return picture_rows(
        np.concatenate([style_images[:, None], images], axis=1),
        above=["style of", *captions],
    )
