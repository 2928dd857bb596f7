"""Draws a bloom."""

import functools
import math

import numpy as np

from keras_t2i.datasets.blooms.attributes import BACKGROUND_RGB
from keras_t2i.datasets.blooms.attributes import CENTER_RGB
from keras_t2i.datasets.blooms.attributes import PETAL_RGB
from keras_t2i.datasets.blooms.checks import check_image_size
from keras_t2i.datasets.blooms.checks import check_not_negative
from keras_t2i.datasets.blooms.content import Content
from keras_t2i.datasets.blooms.petals import half_width
from keras_t2i.datasets.blooms.petals import nearest_petal
from keras_t2i.datasets.blooms.style import Style

# Samples along each side of a pixel.
_SUPERSAMPLING = 2
# Cells of the background's texture down and across the picture, and how many
# gray levels they vary by.
_TEXTURES = {
    "grass": (5, 20, 22.0),
    "sky": (4, 3, 16.0),
    "soil": (16, 16, 20.0),
    "stone": (6, 6, 18.0),
}


def draw_bloom(
    content: Content, style: Style, image_size: int, seed: int
) -> np.ndarray:
    """Draws one flower.

    The picture depends on the arguments alone; at another `image_size` it is
    the same picture, finer or coarser.

    Args:
        content: `Content`. Colors, number and shape of the petals.
        style: `Style`. Background, place, size and look.
        image_size: int. Side of the picture in pixels, from 32 to 256.
        seed: int. Not negative. Decides what no `Style` tells: the small
            irregularities of the petals and of the background.

    Returns:
        Array of shape `(image_size, image_size, 3)`, uint8.

    Raises:
        ValueError: If `image_size` or `seed` is out of range.

    Example:

    >>> from keras_t2i.datasets import blooms
    >>> content = blooms.Content("red", "yellow", 6, "round")
    >>> style = blooms.Style("grass", 0.5, 0.5, radius=0.4, rotation=0.0)
    >>> image = blooms.draw_bloom(content, style, image_size=64, seed=0)
    >>> image.shape
    (64, 64, 3)
    """
    check_image_size(image_size)
    check_not_negative("seed", seed)
    rng = np.random.Generator(np.random.Philox(seed))
    background = _draw_background(style, image_size, rng)
    color, coverage = _draw_flower(content, style, image_size, rng)
    picture = background * (1 - coverage) + color
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


def _draw_background(
    style: Style, image_size: int, rng: np.random.Generator
) -> np.ndarray:
    rows, columns, levels = _TEXTURES[style.background]
    noise = rng.uniform(-1, 1, (rows + 1, columns + 1)).astype(np.float32)
    texture = _stretch(image_size, rows) @ noise
    texture = texture @ _stretch(image_size, columns).T
    texture *= levels * (0.4 + 0.6 * style.texture)
    side = np.linspace(-12, 12, image_size, dtype=np.float32)
    lighting = (
        math.cos(style.light) * side + math.sin(style.light) * side[:, None]
    )
    color = np.asarray(BACKGROUND_RGB[style.background], np.float32)
    color = color * style.background_brightness + rng.uniform(-6, 6, 3)
    return color.astype(np.float32) + (texture + lighting)[..., None]


@functools.cache
def _stretch(image_size: int, cells: int) -> np.ndarray:
    """Matrix that smoothly interpolates `cells + 1` values to the pixels."""
    position = (np.arange(image_size) + 0.5) / image_size * cells
    cell = np.floor(position).astype(int)
    weight = position - cell
    weight = weight * weight * (3 - 2 * weight)
    matrix = np.zeros((image_size, cells + 1), np.float32)
    rows = np.arange(image_size)
    matrix[rows, cell] = 1 - weight
    matrix[rows, cell + 1] = weight
    return matrix


def _draw_flower(
    content: Content,
    style: Style,
    image_size: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the flower's color times its coverage, and the coverage."""
    count = content.petal_count
    length = rng.uniform(0.93, 1.0, count).astype(np.float32)
    tilt = (rng.uniform(-0.06, 0.06, count) * 2 * math.pi / count).astype(
        np.float32
    )
    tone = rng.uniform(0.95, 1.05, count).astype(np.float32)
    petal_color = np.asarray(PETAL_RGB[content.petal_color], np.float32)
    petal_color += rng.uniform(-9, 9, 3).astype(np.float32)
    center_color = np.asarray(CENTER_RGB[content.center_color], np.float32)
    center_color += rng.uniform(-7, 7, 3).astype(np.float32)

    samples = image_size * _SUPERSAMPLING
    place = (np.arange(samples, dtype=np.float32) + 0.5) / samples
    x = (place - np.float32(style.center_x)) / np.float32(style.radius)
    y = (place - np.float32(style.center_y)) / np.float32(style.radius)
    x, y = x[None, :], y[:, None]
    distance = np.sqrt(x * x + y * y)
    # Width of a sample: edges are as soft as the samples are coarse.
    soft = np.float32(1 / (samples * style.radius))

    angle = np.arctan2(y, x) - np.float32(style.rotation)
    number, turn = nearest_petal(angle, count)
    # Room left before the neighbor begins: where petals touch, a seam.
    seam = (np.float32(math.pi / count) - np.abs(turn)) * distance
    turn -= tilt[number]
    along = distance * np.cos(turn) / length[number]
    across = np.abs(distance * np.sin(turn))
    inside = half_width(along, count, content.petal_shape)
    inside = inside * np.float32(style.petal_width) - across
    # Beyond the tip the width is zero, and so is the room across.
    inside = np.minimum(inside, 1 - along)
    petal = np.clip(0.5 + inside / soft, 0, 1)

    edge = np.clip(np.minimum(inside, seam) / 0.07, 0, 1)
    vein = np.clip(1 - across / 0.05, 0, 1) * np.clip(1.3 - along, 0, 1)
    shade = 0.74 + 0.26 * edge
    shade *= 0.86 + 0.16 * np.clip(along, 0, 1)
    shade -= np.float32(0.16 * style.texture) * vein
    shade *= tone[number]

    heart = np.float32(style.center_radius)
    disc = np.clip(0.5 + (heart - distance) / soft, 0, 1)
    # The rim tells center from petals where both have the same color.
    rim = np.clip(1.5 - np.abs(heart - distance) / 0.03, 0, 1)
    dome = 1.04 - 0.12 * np.square(distance / heart)
    light = 1 + 0.07 * (
        np.float32(math.cos(style.light)) * x
        + np.float32(math.sin(style.light)) * y
    )
    light *= np.float32(style.brightness)

    coverage = np.maximum(petal, disc)
    petal_weight = (1 - disc) * petal * shade * light * (1 - 0.55 * rim)
    disc_weight = disc * dome * light * (1 - 0.55 * rim)
    weights = _average(np.stack([petal_weight, disc_weight, coverage], axis=-1))
    color = weights[..., :2] @ np.stack([petal_color, center_color])
    return color, weights[..., 2:]


def _average(samples: np.ndarray) -> np.ndarray:
    """Averages the samples of each pixel."""
    size = samples.shape[0] // _SUPERSAMPLING
    shape = (size, _SUPERSAMPLING, size, _SUPERSAMPLING, samples.shape[-1])
    return samples.reshape(shape).mean(axis=(1, 3))
