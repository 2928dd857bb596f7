"""Reads a bloom's attributes from its pixels."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping

import numpy as np

from keras_t2i.blooms.attributes import BACKGROUND_RGB
from keras_t2i.blooms.attributes import CENTER_RGB
from keras_t2i.blooms.attributes import MIN_IMAGE_SIZE
from keras_t2i.blooms.attributes import PETAL_COUNTS
from keras_t2i.blooms.attributes import PETAL_RGB
from keras_t2i.blooms.attributes import PETAL_SHAPES
from keras_t2i.blooms.attributes import Content
from keras_t2i.blooms.rendering import half_width
from keras_t2i.blooms.rendering import nearest_petal

# Petals are shaded: on average this much darker than their color.
_SHADED_PETAL_RGB = {
    name: tuple(0.9 * value for value in rgb) for name, rgb in PETAL_RGB.items()
}


@dataclasses.dataclass(frozen=True)
class BloomReading:
    """What an image shows of a bloom.

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
    """Reads what an image shows of a bloom, rendered or generated.

    Compares the outline of whatever stands out from the background with the
    outlines of all flowers, and its colors with the palettes. Every image has
    a reading: without a flower in it, the reading is a guess.

    Args:
        image: array of shape `(size, size, 3)`, uint8. `size` is 32 or more.

    Returns:
        `BloomReading`.

    Raises:
        ValueError: `image` is no such array.

    Example:

    >>> from keras_t2i import blooms
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
    petals = np.array(
        [
            np.median(sample_polar(channel, [place])[0][outline.petals])
            for channel in np.moveaxis(pixels, -1, 0)
        ]
    )
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
            f"shape={shape}. Pass one image, not a batch, with values from 0 "
            "to 255."
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
    # The second time without specks far from the flower.
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
    # Only along the line from one color to the other: other noise is ignored.
    along = np.sum((pixels - background) * contrast, axis=-1)
    # The middle of a blurred petal exceeds the median. A cap at 1 would give it
    # square edges.
    return np.clip(along / (np.sum(contrast**2, axis=-1) + 1), 0, 1.5)


# A polar grid from the rim of the center to beyond the tips, in units of the
# flower's radius. The number of angles is a multiple of every petal count.
_ANGLES = 2 * math.pi * np.arange(120) / 120
_DISTANCES = np.linspace(0.38, 1.3, 18)
# Weights of the points: the areas that they stand for.
_WEIGHTS = (_DISTANCES / np.sum(120 * _DISTANCES))[:, None]

_KINDS = tuple(itertools.product(PETAL_COUNTS, PETAL_SHAPES))
# Standard deviations in units of the radius. A blurred outline is best compared
# with outlines that are blurred alike.
_BLURS = (0.03, 0.1, 0.18)
# Rendered petals are this long on average.
_MEAN_LENGTH = 0.965


@dataclasses.dataclass(frozen=True)
class Outline:
    """A flower's outline, at the place where it matches an image best.

    `x`, `y` and `radius` are in pixels. `petals`, of shape `(18, 120)`, says
    where on the polar grid there is nothing but petals.
    """

    petal_count: int
    petal_shape: str
    x: float
    y: float
    radius: float
    petals: np.ndarray


def best_outline(
    coverage: np.ndarray, x: float, y: float, radius: float
) -> Outline:
    """Finds the flower whose outline is most like that of an image.

    `coverage`, of shape `(size, size)`, says how much of each pixel is petal: 0
    is none, about 1 is all. `x`, `y` and `radius` are first guesses of center
    and radius, in pixels.
    """
    places = [(x, y, f * radius) for f in (0.75, 0.85, 0.92, 1, 1.08, 1.16)]
    _, _, (x, y, radius) = _best_match(coverage, places)
    steps = (-0.05 * radius, 0, 0.05 * radius)
    places = [(x + dx, y + dy, radius) for dx in steps for dy in steps]
    _, _, (x, y, radius) = _best_match(coverage, places)
    places = [(x, y, radius + dr) for dr in steps]
    number, turn, (x, y, radius) = _best_match(coverage, places)
    template = _templates()[number]
    petals = np.roll(template >= 0.8 * template.max(), turn, axis=-1)
    count, shape = _KINDS[number % len(_KINDS)]
    return Outline(count, shape, x, y, radius, petals)


def sample_polar(
    image: np.ndarray, places: list[tuple[float, float, float]]
) -> np.ndarray:
    """Reads an image of shape `(size, size)` on polar grids, bilinearly.

    Each place is a center and a radius in pixels. The result has the shape
    `(places, 18, 120)`. Outside the image, its border continues.
    """
    x, y, radius = np.array(places, np.float32).T[..., None, None]
    reach = _DISTANCES[:, None]
    last = len(image) - 1.001
    x = np.clip(x + radius * (reach * np.cos(_ANGLES)) - 0.5, 0, last)
    y = np.clip(y + radius * (reach * np.sin(_ANGLES)) - 0.5, 0, last)
    left, top = x.astype(np.int32), y.astype(np.int32)
    x, y = x - left, y - top
    values, corner, row = image.ravel(), top * len(image) + left, len(image)
    upper = values[corner] * (1 - x) + values[corner + 1] * x
    corner += row
    lower = values[corner] * (1 - x) + values[corner + 1] * x
    return upper * (1 - y) + lower * y


def _best_match(coverage: np.ndarray, places: list) -> tuple[int, int, tuple]:
    """Number of the template, its turn in steps, and the place."""
    spectra = np.fft.rfft(_normalize(sample_polar(coverage, places)))
    # Correlation over all rotations at once.
    products = np.einsum(
        "prf,trf->ptf",
        spectra.astype(np.complex64),
        _template_spectra(),
        optimize=True,
    )
    scores = np.fft.irfft(products, len(_ANGLES))
    place, number, turn = np.unravel_index(scores.argmax(), scores.shape)
    return int(number), int(turn), places[place]


def _normalize(outlines: np.ndarray) -> np.ndarray:
    """Zero mean and unit length by area, ready for an inner product."""
    mean = (outlines * _WEIGHTS).sum((-2, -1), keepdims=True)
    centered = (outlines - mean) * np.sqrt(_WEIGHTS)
    length = np.sqrt(np.square(centered).sum((-2, -1), keepdims=True))
    # An image of one color has no outline: all its scores are zero.
    return (centered / (length + 1e-6)).astype(np.float32)


@functools.cache
def _template_spectra() -> np.ndarray:
    spectra = np.fft.rfft(_normalize(_templates()))
    return np.conj(spectra).astype(np.complex64)


@functools.cache
def _templates() -> np.ndarray:
    """Every kind of flower on the polar grid, blurred more and more."""
    size, radius = 160, 160 / 3
    place = np.arange(size) + 0.5 - size / 2
    x, y = place[None, :] / radius, place[:, None] / radius
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    offset = place[:, None] - place[None, :]
    templates = []
    for blur, (count, shape) in itertools.product(_BLURS, _KINDS):
        _, turn = nearest_petal(angle, count)
        along = distance * np.cos(turn) / _MEAN_LENGTH
        across = np.abs(distance * np.sin(turn))
        inside = half_width(along, count, shape) - across
        coverage = np.clip(0.5 + np.minimum(inside, 1 - along) * radius, 0, 1)
        kernel = np.exp(-0.5 * np.square(offset / (blur * radius)))
        kernel /= kernel.sum(axis=1, keepdims=True)
        blurred = kernel @ coverage @ kernel.T
        templates.append(sample_polar(blurred, [(size / 2, size / 2, radius)]))
    return np.concatenate(templates)


_XYZ_OF_RGB = np.array(
    [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
)


def nearest_color(
    color: np.ndarray, palette: Mapping[str, tuple[float, ...]]
) -> str:
    """Returns the name of the color in a palette that looks most similar.

    All colors are RGB, from 0 to 255.
    """
    colors = _weighted_lab(np.array([*palette.values(), color], np.float64))
    distances = np.linalg.norm(colors[:-1] - colors[-1], axis=-1)
    return list(palette)[int(np.argmin(distances))]


def _weighted_lab(rgb: np.ndarray) -> np.ndarray:
    """Converts RGB to CIELAB, with more weight on hue than on the rest."""
    rgb = rgb / 255
    linear = np.where(
        rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92
    )
    # White is (1, 1, 1) after the division.
    xyz = linear @ _XYZ_OF_RGB.T / _XYZ_OF_RGB.sum(axis=1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    lightness, a, b = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    # Petals that fade into the background lose chroma long before hue: plain
    # CIELAB calls faded red pink.
    strength = 100 / (60 + np.hypot(a, b))
    return np.stack([0.8 * lightness, a * strength, b * strength], axis=-1)
