"""Rows of images with words on three sides."""

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
