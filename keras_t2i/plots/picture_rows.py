"""Rows of pictures with words on three sides: what all grids are made of."""

import textwrap

import numpy as np
from matplotlib.figure import Figure

# A power of two, so that whole pixels are exact in inches.
_PIXELS_PER_INCH = 128
# About as large as a picture is shown, where its own size is smaller.
_LEAST_SIDE = 120
_GAP = 4
_FONT_SIZE = 8
_PIXELS_PER_CHARACTER = 9
_PIXELS_PER_LINE = 18
_MAX_LINES = 6
_MAX_LINES_ABOVE = 8


def picture_rows(images, left=None, right=None, above=None, characters=36):
    """Draws rows of pictures, one axes a picture.

    Each pixel of a picture is one of the figure's, or a square of several:
    saved at its own resolution, a figure shows all of them.

    Args:
        images: uint8 array of shape `(rows, columns, height, width, 3)`.
        left: list of strings, one a row. Defaults to `None`.
        right: list of strings, one a row. Defaults to `None`.
        above: list of strings, one a column. Defaults to `None`.
        characters: int. Characters in a line beside a row. Defaults to `36`.

    Returns:
        `matplotlib.figure.Figure`.
    """
    num_rows, num_columns, picture_height, picture_width = images.shape[:4]
    times = max(1, round(_LEAST_SIDE / max(picture_height, picture_width)))
    picture_height *= times
    picture_width *= times
    row_height = picture_height + 2 * _GAP
    column_width = picture_width + 2 * _GAP
    side = characters * _PIXELS_PER_CHARACTER + 10
    start = 0 if left is None else side
    width = start + num_columns * column_width + (0 if right is None else side)
    height = num_rows * row_height
    if above is not None:
        above = [
            _wrapped(
                text,
                max(1, column_width // _PIXELS_PER_CHARACTER),
                _MAX_LINES_ABOVE,
            )
            for text in above
        ]
        most_lines = max(text.count("\n") + 1 for text in above)
        height += most_lines * _PIXELS_PER_LINE + 12
    figure = Figure(
        figsize=(width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH),
        dpi=_PIXELS_PER_INCH,
    )
    beside = (
        (left, 10),
        (right, start + num_columns * column_width + 10),
    )
    for row in range(num_rows):
        bottom = (num_rows - 1 - row) * row_height
        for texts, x in beside:
            if texts is not None:
                figure.text(
                    x / width,
                    (bottom + row_height / 2) / height,
                    _wrapped(texts[row], characters, _MAX_LINES),
                    va="center",
                    fontsize=_FONT_SIZE,
                    # A dollar sign in a caption is no formula.
                    parse_math=False,
                )
        for column in range(num_columns):
            axes = figure.add_axes(
                (
                    (start + column * column_width + _GAP) / width,
                    (bottom + _GAP) / height,
                    picture_width / width,
                    picture_height / height,
                )
            )
            axes.imshow(images[row, column], interpolation="nearest")
            axes.axis("off")
            if row == 0 and above is not None:
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


def checked_texts(texts, name, count, what):
    """Returns texts as a list of strings.

    Raises:
        ValueError: there is not one text for each `what`.
    """
    texts = [
        text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        for text in texts
    ]
    if len(texts) != count:
        raise ValueError(
            f"`{name}` must hold one text for each of {count} {what}. "
            f"Received: {len(texts)}"
        )
    return texts


def _wrapped(text, characters, max_lines):
    return "\n".join(textwrap.wrap(text, characters, max_lines=max_lines))
