"""Rows of pictures with words on three sides: what all grids are made of."""

import textwrap

import numpy as np
from matplotlib.figure import Figure

_PICTURE_INCHES = 1.0
_GAP_INCHES = 0.03
_FONT_SIZE = 8
_INCHES_PER_CHARACTER = 0.072
_INCHES_PER_LINE = 0.14
# As wide as a picture.
_CHARACTERS_ABOVE = 15
_MAX_LINES = 6
_MAX_LINES_ABOVE = 8


def picture_rows(images, left=None, right=None, above=None, characters=36):
    """Draws rows of pictures, one axes a picture.

    Args:
        images: uint8 array of shape `(rows, columns, height, width, 3)`.
        left: list of strings, one a row. Defaults to `None`.
        right: list of strings, one a row. Defaults to `None`.
        above: list of strings, one a column. Defaults to `None`.
        characters: int. Characters in a line beside a row. Defaults to `36`.

    Returns:
        `matplotlib.figure.Figure`.
    """
    num_rows, num_columns = images.shape[:2]
    side_inches = characters * _INCHES_PER_CHARACTER
    start = side_inches if left else 0.0
    width = start + num_columns * _PICTURE_INCHES
    width += side_inches if right else 0.0
    above = [
        _wrapped(text, _CHARACTERS_ABOVE, _MAX_LINES_ABOVE)
        for text in above or ()
    ]
    most_lines = max((text.count("\n") + 1 for text in above), default=0)
    height = num_rows * _PICTURE_INCHES
    height += most_lines * _INCHES_PER_LINE + 0.1 if above else 0.0
    figure = Figure(figsize=(width, height), dpi=128)
    beside = (
        (left, 0.08),
        (right, start + num_columns * _PICTURE_INCHES + 0.08),
    )
    for row in range(num_rows):
        bottom = (num_rows - 1 - row) * _PICTURE_INCHES
        for texts, x in beside:
            if texts:
                figure.text(
                    x / width,
                    (bottom + _PICTURE_INCHES / 2) / height,
                    _wrapped(texts[row], characters, _MAX_LINES),
                    va="center",
                    fontsize=_FONT_SIZE,
                    # A dollar sign in a caption is no formula.
                    parse_math=False,
                )
        for column in range(num_columns):
            x = start + column * _PICTURE_INCHES
            side = _PICTURE_INCHES - 2 * _GAP_INCHES
            axes = figure.add_axes(
                (
                    (x + _GAP_INCHES) / width,
                    (bottom + _GAP_INCHES) / height,
                    side / width,
                    side / height,
                )
            )
            axes.imshow(images[row, column], interpolation="nearest")
            axes.axis("off")
            if row == 0 and above:
                axes.set_title(
                    above[column], fontsize=_FONT_SIZE, pad=3, parse_math=False
                )
    return figure


def checked_pictures(images, shape, name="images"):
    """Returns pictures as an array.

    Args:
        images: uint8 array.
        shape: string. What its dimensions are, such as
            `"(captions, columns, height, width, 3)"`.
        name: string. The argument. Defaults to `"images"`.

    Raises:
        ValueError: it is no such array.
    """
    images = np.asarray(images)
    right_shape = images.ndim == shape.count(",") + 1 and images.shape[-1] == 3
    if images.dtype != np.uint8 or not right_shape:
        raise ValueError(
            f"`{name}` must be uint8 of shape {shape}. Received: "
            f"{images.dtype} of shape {images.shape}"
        )
    return images


def check_texts(texts, name, count, what):
    """Raises `ValueError` where there is not one text for each `what`."""
    if len(texts) != count:
        raise ValueError(
            f"`{name}` must hold one text for each of {count} {what}. "
            f"Received: {len(texts)}"
        )


def _wrapped(text, characters, max_lines):
    return "\n".join(textwrap.wrap(text, characters, max_lines=max_lines))
