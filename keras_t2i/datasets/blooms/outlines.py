"""Compares a picture's outlines with those of all flowers."""

import dataclasses
import functools
import itertools
import math

import numpy as np

from keras_t2i.datasets.blooms.attributes import PETAL_COUNTS
from keras_t2i.datasets.blooms.attributes import PETAL_SHAPES
from keras_t2i.datasets.blooms.petals import half_width
from keras_t2i.datasets.blooms.petals import nearest_petal

# A polar grid from the rim of the center to beyond the tips, in units of the
# flower's radius. The number of angles is a multiple of every petal count.
_ANGLES = 2 * math.pi * np.arange(120) / 120
_DISTANCES = np.linspace(0.38, 1.3, 18)
# Points weigh by the area that they stand for.
_WEIGHTS = (_DISTANCES / np.sum(120 * _DISTANCES))[:, None]

_KINDS = tuple(itertools.product(PETAL_COUNTS, PETAL_SHAPES))
# Standard deviations in units of the radius. A blurred outline is best known
# by its like.
_BLURS = (0.03, 0.1, 0.18)
# Petals are drawn this long on average.
_MEAN_LENGTH = 0.965


@dataclasses.dataclass(frozen=True)
class Outline:
    """A flower's outline, put where it matches a picture best.

    Args:
        petal_count: int. One of `PETAL_COUNTS`.
        petal_shape: string. One of `PETAL_SHAPES`.
        x: float. Center in pixels from the left.
        y: float. Center in pixels from the top.
        radius: float. In pixels.
        petals: array of shape `(18, 120)`, bool. Where on the polar grid
            there is nothing but petals.
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
    """Finds the flower whose outline is most like a picture's.

    Args:
        coverage: array of shape `(size, size)`. How much of each pixel is
            petal: 0 is none, about 1 all.
        x: float. Roughly the center, in pixels from the left.
        y: float. The same from the top.
        radius: float. Roughly the radius, in pixels.

    Returns:
        `Outline`.
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
    """Reads a picture on the polar grid, bilinearly.

    Args:
        image: array of shape `(size, size)`.
        places: list of tuples: center and radius of the grid in pixels.

    Returns:
        Array of shape `(places, 18, 120)`. Outside the picture, its border
        goes on.
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
    # A picture of one color has no outline: all its scores are zero.
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
