"""A grid of pictures, one row a caption."""

from keras_t2i.plots.picture_rows import checked_pictures
from keras_t2i.plots.picture_rows import checked_texts
from keras_t2i.plots.picture_rows import picture_rows


def image_grid(images, captions, column_titles=None):
    """Draws rows of pictures, each with its caption beside it.

    Args:
        images: uint8 array of shape `(captions, columns, height, width, 3)`.
        captions: list of strings, one a row.
        column_titles: list of strings, one a column. Defaults to `None`.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: the shapes do not fit.

    Example:

    >>> images = np.zeros((2, 3, 32, 32, 3), "uint8")
    >>> figure = keras_t2i.plots.image_grid(images, ["a rose", "a tulip"])
    >>> len(figure.axes)
    6
    """
    images = checked_pictures(images, "(captions, columns, height, width, 3)")
    captions = checked_texts(captions, "captions", images.shape[0], "rows")
    if column_titles is not None:
        column_titles = checked_texts(
            column_titles, "column_titles", images.shape[1], "columns"
        )
    return picture_rows(images, left=captions, above=column_titles)
