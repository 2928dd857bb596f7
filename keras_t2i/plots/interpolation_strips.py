"""Ways from one picture to another."""

from keras_t2i.plots.picture_rows import checked_pictures
from keras_t2i.plots.picture_rows import checked_texts
from keras_t2i.plots.picture_rows import picture_rows


def interpolation_strips(images, labels_from, labels_to):
    """Draws one strip a row, with what it leads from and to at its ends.

    Args:
        images: uint8 array of shape `(rows, steps, height, width, 3)`, as
            `TextToImageGAN.interpolate` and `interpolate_noise` return it.
        labels_from: list of strings, one a row: left of the strip.
        labels_to: list of strings, one a row: right of the strip.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: the shapes do not fit.

    Example:

    >>> images = np.zeros((1, 8, 32, 32, 3), "uint8")
    >>> figure = keras_t2i.plots.interpolation_strips(
    ...     images, ["a rose"], ["a tulip"]
    ... )
    >>> [text.get_text() for text in figure.texts]
    ['a rose', 'a tulip']

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    images = checked_pictures(images, "(rows, steps, height, width, 3)")
    return picture_rows(
        images,
        left=checked_texts(labels_from, "labels_from", len(images), "rows"),
        right=checked_texts(labels_to, "labels_to", len(images), "rows"),
        characters=20,
    )
