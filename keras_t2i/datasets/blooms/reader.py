"""Reads a bloom's attributes from its pixels."""

import dataclasses
import functools

import numpy as np

from keras_t2i.datasets.blooms.attributes import BACKGROUND_RGB
from keras_t2i.datasets.blooms.attributes import CENTER_RGB
from keras_t2i.datasets.blooms.attributes import MIN_IMAGE_SIZE
from keras_t2i.datasets.blooms.attributes import PETAL_RGB
from keras_t2i.datasets.blooms.color_names import nearest_color
from keras_t2i.datasets.blooms.content import Content
from keras_t2i.datasets.blooms.outlines import best_outline
from keras_t2i.datasets.blooms.outlines import sample_polar

# Petals are shaded: on average this much darker than their color.
_SHADED_PETAL_RGB = {
    name: tuple(0.9 * value for value in rgb) for name, rgb in PETAL_RGB.items()
}


@dataclasses.dataclass(frozen=True)
class BloomReading:
    """What a picture shows of a bloom.

    Args:
        content: `Content`. The closest there is.
        background: string. The closest of `BACKGROUNDS`.
        center_x: float. Center of the flower, as a fraction of the side,
            from the left.
        center_y: float. The same from the top.
        radius: float. From the center to the tips, as a fraction of the side.
    """

    content: Content
    background: str
    center_x: float
    center_y: float
    radius: float


def read_bloom(image: np.ndarray) -> BloomReading:
    """Reads what a picture shows of a bloom, whoever drew it.

    Compares the outline of whatever stands out from the background with the
    outlines of all flowers, and its colors with the palettes. Every picture
    has a reading: where there is no flower, it is a guess.

    Args:
        image: array of shape `(size, size, 3)`, uint8. `size` is 32 or more.

    Returns:
        `BloomReading`.

    Raises:
        ValueError: If `image` is no such array.

    Example:

    >>> from keras_t2i.datasets import blooms
    >>> bloom = blooms.bloom_at("test", 0)
    >>> reading = blooms.read_bloom(bloom.image)
    >>> reading.content == bloom.content
    True
    """
    _check_image(image)
    pixels = image.astype(np.float32)
    size = len(pixels)
    border, basis, fit = _border(size)
    background = basis @ (fit @ pixels[border])
    salience = _salience(pixels - background, border)
    x, y, radius = _rough_place(salience)
    coverage = _petal_coverage(
        pixels, background, salience, _distance(size, x, y) / radius
    )
    outline = best_outline(coverage, x, y, radius)

    place = (outline.x, outline.y, outline.radius)
    petals = [
        np.median(sample_polar(channel, [place])[0][outline.petals])
        for channel in np.moveaxis(pixels, -1, 0)
    ]
    # The inner part of the center, clear of its rim; at least one pixel.
    distance = _distance(size, outline.x, outline.y)
    center = np.median(pixels[distance < max(0.18 * outline.radius, 1)], axis=0)
    content = Content(
        petal_color=nearest_color(petals, _SHADED_PETAL_RGB),
        center_color=nearest_color(center, CENTER_RGB),
        petal_count=outline.petal_count,
        petal_shape=outline.petal_shape,
    )
    return BloomReading(
        content=content,
        background=nearest_color(
            np.median(pixels[border], axis=0), BACKGROUND_RGB
        ),
        center_x=outline.x / size,
        center_y=outline.y / size,
        radius=outline.radius / size,
    )


def _check_image(image: np.ndarray) -> None:
    shape, dtype = np.shape(image), getattr(image, "dtype", type(image))
    square = len(shape) == 3 and shape[0] == shape[1] and shape[2] == 3
    if dtype != np.uint8 or not square or shape[0] < MIN_IMAGE_SIZE:
        raise ValueError(
            "`image` must be a uint8 array of shape (size, size, 3) with a "
            f"size of at least {MIN_IMAGE_SIZE}. Received: dtype={dtype}, "
            f"shape={shape}. Pass one picture, not a batch, with values from "
            "0 to 255."
        )


@functools.cache
def _border(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask of the border, a plane's basis, and what fits it to the border."""
    # Flowers keep clear of it.
    width = max(2, round(0.04 * size))
    border = np.ones((size, size), bool)
    border[width:-width, width:-width] = False
    place = np.linspace(-1, 1, size)
    plane = np.broadcast_arrays(1.0, place[None, :], place[:, None])
    basis = np.stack(plane, axis=-1).astype(np.float32)
    return border, basis, np.linalg.pinv(basis[border])


def _salience(difference: np.ndarray, border: np.ndarray) -> np.ndarray:
    """How surely each pixel is not background, 0 to 1."""
    strength = np.linalg.norm(difference, axis=-1)
    texture = np.quantile(strength[border], 0.95)
    return np.clip((strength - texture) / (texture + 30), 0, 1)


def _rough_place(salience: np.ndarray) -> tuple[float, float, float]:
    """Center and radius, in pixels, of what is not background."""
    size = len(salience)
    if salience.sum() < 1:
        return size / 2, size / 2, size / 3
    x, y = _centroid(salience)
    # Twice, so that specks far from the flower lose their pull.
    for _ in range(2):
        distance = _distance(size, x, y)
        order = np.argsort(distance, axis=None)
        within = np.cumsum(salience.ravel()[order])
        farthest = order[np.searchsorted(within, 0.95 * within[-1])]
        radius = max(distance.ravel()[farthest], 0.1 * size)
        x, y = _centroid(salience * (distance < 1.3 * radius))
    return x, y, radius


def _centroid(weight: np.ndarray) -> tuple[float, float]:
    place = np.arange(len(weight)) + 0.5
    total = weight.sum()
    return (
        float(weight.sum(axis=0) @ place / total),
        float(weight.sum(axis=1) @ place / total),
    )


def _distance(size: int, x: float, y: float) -> np.ndarray:
    place = np.arange(size) + 0.5
    return np.hypot(place[None, :] - x, place[:, None] - y)


def _petal_coverage(
    pixels: np.ndarray,
    background: np.ndarray,
    salience: np.ndarray,
    distance: np.ndarray,
) -> np.ndarray:
    """How far each pixel is on the way from background (0) to petal (1).

    `distance` is from the flower's center, in units of its radius.
    """
    petals = (salience > 0.5) & (distance > 0.42) & (distance < 1.2)
    if not petals.any():
        petals = distance < 1
    contrast = np.median(pixels[petals], axis=0) - background
    # Noise across the way from one color to the other does not count.
    along = np.sum((pixels - background) * contrast, axis=-1)
    # The middle of a blurred petal passes the median; a cap there would square
    # off its outline.
    return np.clip(along / (np.sum(contrast**2, axis=-1) + 1), 0, 1.5)
