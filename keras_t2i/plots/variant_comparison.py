"""What several GANs draw from the same captions and the same noise."""

from keras_t2i.plots.picture_rows import checked_pictures
from keras_t2i.plots.picture_rows import checked_texts
from keras_t2i.plots.picture_rows import picture_rows


def variant_comparison(images, captions, variants):
    """Draws a row for each GAN, under the captions that all of them draw.

    Args:
        images: uint8 array of shape `(variants, captions, height, width, 3)`.
            In a column, all from the same noise.
        captions: list of strings, one a column.
        variants: list of strings, one a row: names, such as `"GAN-CLS"`.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: the shapes do not fit.

    Example:

    >>> images = np.zeros((2, 3, 32, 32, 3), "uint8")
    >>> figure = keras_t2i.plots.variant_comparison(
    ...     images, ["a rose", "a tulip", "an iris"], ["GAN", "GAN-CLS"]
    ... )
    >>> [axes.get_title() for axes in figure.axes[:3]]
    ['a rose', 'a tulip', 'an iris']

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    images = checked_pictures(images, "(variants, captions, height, width, 3)")
    variants = checked_texts(variants, "variants", images.shape[0], "rows")
    captions = checked_texts(captions, "captions", images.shape[1], "columns")
    return picture_rows(images, left=variants, above=captions, characters=14)
