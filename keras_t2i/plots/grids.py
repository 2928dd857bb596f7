"""Images in rows, with texts on three sides, or one after the other."""

import io
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
from matplotlib.figure import Figure

from keras_t2i.checks import check_number

# A power of two, so that whole pixels are exact in inches.
_PIXELS_PER_INCH = 128
# Smaller images are enlarged to about this size.
_LEAST_SIDE = 120
_GAP = 4
_FONT_SIZE = 8
_PIXELS_PER_CHARACTER = 9
_PIXELS_PER_LINE = 18
_MAX_LINES = 6
_MAX_LINES_ABOVE = 8

# What a GIF counts to, in seconds.
_LONGEST_GIF = 655
_SECONDS_PER_IMAGE = 0.125
MAX_GIF_IMAGES = int(_LONGEST_GIF / _SECONDS_PER_IMAGE)


class NotebookFigure(Figure):
    """A `Figure` that a notebook shows where it is the result of a cell.

    Other figures are shown only if pyplot has made them, which would also keep
    each of them in memory.
    """

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        # A pixel stays one, whatever the user's own settings for files are.
        whole = {"dpi": "figure", "bbox_inches": self.bbox_inches}
        super().savefig(*args, **{**whole, **kwargs})

    def draw(self, renderer: Any) -> None:
        with warnings.catch_warnings():
            # Of characters that the font lacks, such as emoji: a box is shown.
            warnings.filterwarnings("ignore", "Glyph |.*does not support")
            super().draw(renderer)


def image_rows(
    images: np.ndarray,
    left: Sequence[str] | None = None,
    right: Sequence[str] | None = None,
    above: Sequence[str] | None = None,
    characters: int = 36,
) -> Figure:
    """Shows rows of images in a single axes, with texts beside it.

    A pixel of an image becomes one pixel of the figure, or a square of several.
    Save the figure at its own resolution to see every pixel.

    `images` is uint8 of shape `(rows, columns, height, width, 3)`. `left` and
    `right` hold one text per row, and `above` one per column. `characters` is
    the number of characters in a line beside a row.
    """
    num_rows, num_columns, image_height, image_width = images.shape[:4]
    scale = max(1, round(_LEAST_SIDE / max(image_height, image_width)))
    image_height, image_width = scale * image_height, scale * image_width
    row_height = image_height + 2 * _GAP
    column_width = image_width + 2 * _GAP
    side = characters * _PIXELS_PER_CHARACTER + 10
    start = 0 if left is None else side
    end = start + num_columns * column_width
    width = end + (0 if right is None else side)
    height = num_rows * row_height
    if above is not None:
        per_line = max(1, column_width // _PIXELS_PER_CHARACTER)
        above = [_wrapped(text, per_line, _MAX_LINES_ABOVE) for text in above]
        most_lines = max(text.count("\n") + 1 for text in above)
        height += most_lines * _PIXELS_PER_LINE + 12
    figure = NotebookFigure(
        figsize=(width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH),
        dpi=_PIXELS_PER_INCH,
    )
    # Axes for each image would take a second for fifty of them.
    canvas = np.full(
        (num_rows, row_height, num_columns, column_width, 3), 255, np.uint8
    )
    enlarged = images.repeat(scale, axis=2).repeat(scale, axis=3)
    canvas[:, _GAP:-_GAP, :, _GAP:-_GAP] = enlarged.swapaxes(1, 2)
    axes = figure.add_axes(
        (
            start / width,
            0,
            num_columns * column_width / width,
            num_rows * row_height / height,
        )
    )
    axes.imshow(
        canvas.reshape(num_rows * row_height, num_columns * column_width, 3),
        interpolation="nearest",
        origin="upper",
    )
    axes.axis("off")

    def write(text: str, x: float, y: float, **alignment: Any) -> None:
        # A dollar sign in a caption does not begin a formula.
        place = x / width, y / height
        figure.text(
            *place, text, fontsize=_FONT_SIZE, parse_math=False, **alignment
        )

    for texts, x in ((left, 10), (right, end + 10)):
        for row, text in enumerate(texts or []):
            middle = (num_rows - row - 0.5) * row_height
            text = _wrapped(text, characters, _MAX_LINES)
            write(text, x, middle, verticalalignment="center")
    for column, text in enumerate(above or []):
        middle = start + (column + 0.5) * column_width
        write(
            text,
            middle,
            num_rows * row_height + 1,
            horizontalalignment="center",
            verticalalignment="bottom",
        )
    return figure


def _checked_images(
    images: np.ndarray, shape: str, name: str = "images"
) -> np.ndarray:
    images = np.asarray(images)
    fits = images.ndim == shape.count(",") + 1 and images.shape[-1] == 3
    if images.dtype != np.uint8 or not fits or not images.size:
        raise ValueError(
            f"`{name}` must be uint8 of shape {shape}. Received: "
            f"{images.dtype} of shape {images.shape}"
        )
    return images


def _checked_texts(
    texts: Sequence[str], name: str, count: int, what: str
) -> list[str]:
    # Of a tensor too.
    texts = np.asarray(texts, object).tolist()
    if len(texts) != count:
        raise ValueError(
            f"`{name}` must hold one text for each of {count} {what}. "
            f"Received: {len(texts)}"
        )
    for text in texts:
        if not isinstance(text, (str, bytes)):
            raise ValueError(f"`{name}` must hold texts. Received: {text!r}")
    # Matplotlib takes no half of a surrogate pair.
    return [
        text.decode("utf-8", "replace")
        if isinstance(text, bytes)
        else text.encode("utf-8", "replace").decode()
        for text in texts
    ]


def _wrapped(text: str, characters: int, max_lines: int) -> str:
    return "\n".join(textwrap.wrap(text, characters, max_lines=max_lines))


def image_grid(
    images: np.ndarray,
    captions: Sequence[str],
    column_titles: Sequence[str] | None = None,
) -> Figure:
    """Shows rows of images, each row with its caption on the left.

    Args:
        images: uint8 array of shape `(captions, columns, height, width, 3)`.
        captions: list of strings, one per row.
        column_titles: list of strings, one per column. Defaults to `None`.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: the shapes do not fit.

    Example:

    >>> images = np.zeros((2, 3, 32, 32, 3), "uint8")
    >>> figure = keras_t2i.plots.image_grid(images, ["a rose", "a tulip"])
    >>> [text.get_text() for text in figure.texts]
    ['a rose', 'a tulip']
    """
    images = _checked_images(images, "(captions, columns, height, width, 3)")
    captions = _checked_texts(captions, "captions", images.shape[0], "rows")
    if column_titles is not None:
        column_titles = _checked_texts(
            column_titles, "column_titles", images.shape[1], "columns"
        )
    return image_rows(images, left=captions, above=column_titles)


def interpolation_strips(
    images: np.ndarray, labels_from: Sequence[str], labels_to: Sequence[str]
) -> Figure:
    """Shows interpolations, one per row, with a label at either end.

    Args:
        images: uint8 array of shape `(rows, steps, height, width, 3)`, as
            returned by `TextToImageGAN.interpolate` and `interpolate_noise`.
        labels_from: list of strings, one per row: left of the strip.
        labels_to: list of strings, one per row: right of the strip.

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
    images = _checked_images(images, "(rows, steps, height, width, 3)")
    return image_rows(
        images,
        left=_checked_texts(labels_from, "labels_from", len(images), "rows"),
        right=_checked_texts(labels_to, "labels_to", len(images), "rows"),
        characters=20,
    )


def transfer_grid(
    style_images: np.ndarray, images: np.ndarray, captions: Sequence[str]
) -> Figure:
    """Shows style images down the left side, and captions across.

    Args:
        style_images: uint8 array of shape `(styles, height, width, 3)`.
        images: uint8 array of shape `(styles, captions, height, width, 3)`,
            as returned by `TextToImageGAN.transfer_style`.
        captions: list of strings, one per column.

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
    >>> [text.get_text() for text in figure.texts]
    ['style of', 'a rose', 'a tulip', 'an iris']

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    style_images = _checked_images(
        style_images, "(styles, height, width, 3)", "style_images"
    )
    images = _checked_images(images, "(styles, captions, height, width, 3)")
    captions = _checked_texts(captions, "captions", images.shape[1], "columns")
    expected = (len(images), *images.shape[2:])
    if style_images.shape != expected:
        raise ValueError(
            "`style_images` must hold one image for each row of `images`, of "
            f"their size: shape {expected}. Received: "
            f"{style_images.shape}"
        )
    return image_rows(
        np.concatenate([style_images[:, None], images], axis=1),
        above=["style of", *captions],
    )


def variant_comparison(
    images: np.ndarray, captions: Sequence[str], variants: Sequence[str]
) -> Figure:
    """Shows a row for each GAN, under the captions that all generate from.

    Args:
        images: uint8 array of shape `(variants, captions, height, width, 3)`.
            All images in a column have the same noise.
        captions: list of strings, one per column.
        variants: list of strings, one per row: names, such as `"GAN-CLS"`.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: the shapes do not fit.

    Example:

    >>> images = np.zeros((2, 3, 32, 32, 3), "uint8")
    >>> figure = keras_t2i.plots.variant_comparison(
    ...     images, ["a rose", "a tulip", "an iris"], ["GAN", "GAN-CLS"]
    ... )
    >>> [text.get_text() for text in figure.texts]
    ['GAN', 'GAN-CLS', 'a rose', 'a tulip', 'an iris']

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    images = _checked_images(images, "(variants, captions, height, width, 3)")
    variants = _checked_texts(variants, "variants", images.shape[0], "rows")
    captions = _checked_texts(captions, "captions", images.shape[1], "columns")
    return image_rows(images, left=variants, above=captions, characters=14)


def animated_gif(
    images: np.ndarray, seconds_per_image: float = _SECONDS_PER_IMAGE
) -> bytes:
    """Encodes images as an animated GIF that repeats forever.

    A GIF has 256 colors per image: each pixel gets the closest of them.

    Args:
        images: uint8 array of shape `(steps, height, width, 3)`, such as a row
            of the result of `TextToImageGAN.interpolate`.
        seconds_per_image: float of at least 0.01. All images together are
            shown for 655 seconds at most. Defaults to `0.125`.

    Returns:
        bytes. A GIF file.

    Raises:
        ValueError: there is no image, or the shape or time does not fit.

    Example:

    >>> images = np.zeros((8, 32, 32, 3), "uint8")
    >>> keras_t2i.plots.animated_gif(images)[:6]
    b'GIF89a'
    """
    images = _checked_images(images, "(steps, height, width, 3)")
    # Images that are alike become one, which is shown for the time of all.
    longest = _LONGEST_GIF / len(images)
    check_number(
        seconds_per_image,
        "seconds_per_image",
        f"a number from 0.01 to {longest:.2f}, as GIF counts seconds",
        lambda seconds: 0.01 <= seconds <= longest,
    )
    first, *others = [
        PIL.Image.fromarray(image).quantize(dither=PIL.Image.Dither.NONE)
        for image in images
    ]
    file = io.BytesIO()
    first.save(
        file,
        format="GIF",
        save_all=True,
        append_images=others,
        duration=round(1000 * seconds_per_image),
        loop=0,
    )
    return file.getvalue()
