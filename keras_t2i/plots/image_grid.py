"""A grid of pictures, one row a caption."""

import textwrap

import numpy as np
from matplotlib.figure import Figure

_PICTURE_INCHES = 1.0
_CAPTION_INCHES = 2.6
_CHARACTERS_PER_LINE = 36


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
    images = np.asarray(images)
    if images.ndim != 5 or images.dtype != np.uint8:
        raise ValueError(
            "`images` must be uint8 of shape (captions, columns, height, "
            f"width, 3). Received: {images.dtype} of shape {images.shape}"
        )
    num_rows, num_columns = images.shape[:2]
    if len(captions) != num_rows:
        raise ValueError(
            f"`captions` must hold one text for each of {num_rows} rows. "
            f"Received: {len(captions)}"
        )
    if column_titles and len(column_titles) != num_columns:
        raise ValueError(
            f"`column_titles` must hold one text for each of {num_columns} "
            f"columns. Received: {len(column_titles)}"
        )
    title_inches = 0.25 if column_titles else 0.0
    width = _CAPTION_INCHES + num_columns * _PICTURE_INCHES
    height = num_rows * _PICTURE_INCHES + title_inches
    figure = Figure(figsize=(width, height), dpi=128)
    gap = 0.03
    for row in range(num_rows):
        bottom = (num_rows - 1 - row) * _PICTURE_INCHES
        figure.text(
            0.08 / width,
            (bottom + _PICTURE_INCHES / 2) / height,
            _wrapped(captions[row]),
            va="center",
            fontsize=8,
            # A dollar sign in a caption is no formula.
            parse_math=False,
        )
        for column in range(num_columns):
            left = _CAPTION_INCHES + column * _PICTURE_INCHES
            axes = figure.add_axes(
                (
                    (left + gap) / width,
                    (bottom + gap) / height,
                    (_PICTURE_INCHES - 2 * gap) / width,
                    (_PICTURE_INCHES - 2 * gap) / height,
                )
            )
            axes.imshow(images[row, column], interpolation="nearest")
            axes.axis("off")
            if row == 0 and column_titles:
                axes.set_title(column_titles[column], fontsize=8, pad=3)
    return figure


def _wrapped(caption):
    lines = textwrap.wrap(caption, _CHARACTERS_PER_LINE, max_lines=6)
    return "\n".join(lines)
