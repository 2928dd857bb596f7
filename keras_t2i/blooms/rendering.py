"""Renders a bloom."""

import dataclasses
import functools
import math

import numpy as np

from keras_t2i.blooms.attributes import BACKGROUND_RGB
from keras_t2i.blooms.attributes import CENTER_RGB
from keras_t2i.blooms.attributes import MAX_IMAGE_SIZE
from keras_t2i.blooms.attributes import MIN_IMAGE_SIZE
from keras_t2i.blooms.attributes import PETAL_RGB
from keras_t2i.blooms.attributes import SPLITS
from keras_t2i.blooms.attributes import Content
from keras_t2i.blooms.attributes import Style
from keras_t2i.blooms.attributes import class_id
from keras_t2i.blooms.attributes import contents
from keras_t2i.blooms.attributes import random_style
from keras_t2i.blooms.wording import bloom_captions
from keras_t2i.checks import check_whole_number

# Samples along each side of a pixel.
_SUPERSAMPLING = 2
# Cells of the background's texture down and across the image, and by how many
# gray levels they vary.
_TEXTURES = {
    "grass": (5, 20, 22.0),
    "sky": (4, 3, 16.0),
    "soil": (16, 16, 20.0),
    "stone": (6, 6, 18.0),
}


def render_bloom(
    content: Content, style: Style, image_size: int, seed: int
) -> np.ndarray:
    """Renders one flower.

    The image depends on the arguments alone. Another `image_size` gives the
    same image, finer or coarser.

    Args:
        content: `Content`. Colors, number and shape of the petals.
        style: `Style`. Background, place, size and look.
        image_size: int. Side of the image in pixels, from 32 to 256.
        seed: int. Not negative. Decides the small irregularities of the petals
            and of the background.

    Returns:
        Array of shape `(image_size, image_size, 3)`, uint8.

    Raises:
        ValueError: `image_size` or `seed` is out of range.

    Example:

    >>> from keras_t2i import blooms
    >>> content = blooms.Content("red", "yellow", 6, "round")
    >>> style = blooms.Style("grass", 0.5, 0.5, radius=0.4, rotation=0.0)
    >>> image = blooms.render_bloom(content, style, image_size=64, seed=0)
    >>> image.shape
    (64, 64, 3)
    """
    if image_size not in range(MIN_IMAGE_SIZE, MAX_IMAGE_SIZE + 1):
        raise ValueError(
            "`image_size` must be a whole number of pixels from "
            f"{MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE}. Received: {image_size!r}."
        )
    check_whole_number(seed, "seed", at_least=0)
    rng = np.random.Generator(np.random.Philox(seed))
    background = _render_background(style, image_size, rng)
    color, coverage = _render_flower(content, style, image_size, rng)
    image = background * (1 - coverage) + color
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


def _render_background(
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
    plain = np.asarray(BACKGROUND_RGB[style.background], np.float32)
    color = plain * style.background_brightness + rng.uniform(-6, 6, 3)
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


def _render_flower(
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
    # Distance to the neighbor petal: where petals touch, there is a seam.
    seam = (np.float32(math.pi / count) - np.abs(turn)) * distance
    turn -= tilt[number]
    along = distance * np.cos(turn) / length[number]
    across = np.abs(distance * np.sin(turn))
    inside = half_width(along, count, content.petal_shape)
    inside = inside * np.float32(style.petal_width) - across
    # Beyond the tip, the width is zero too.
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
    # The rim separates the center from petals of the same color.
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


def half_width(
    along: np.ndarray, petal_count: int, petal_shape: str
) -> np.ndarray:
    """Half the width of a petal at distances along its middle.

    0 is the flower's center, 1 the petal's tip. The width is 0 where there is
    no petal.
    """
    # Petals of a crowded flower are slimmer: they may touch, but not merge.
    sector = math.tan(math.pi / petal_count)
    if petal_shape == "round":
        squared = 1 - np.square((along - 0.6) / 0.4)
        return min(0.42, 0.6 * sector) * np.sqrt(np.maximum(squared, 0))
    if petal_shape == "pointed":
        rise = along / 0.42
        fall = np.maximum((1 - along) / 0.58, 0) * (0.75 + 0.6 * along)
        widest = min(0.32, 0.44 * sector)
        return widest * np.clip(np.minimum(rise, fall), 0, 1)
    squared = 1 - np.square(np.maximum(along - 0.87, 0) / 0.13)
    return (0.11 + 0.07 * along) * np.sqrt(np.maximum(squared, 0))


def nearest_petal(
    angle: np.ndarray, petal_count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the petal that each direction belongs to.

    Directions are in radians from the flower's center, where the first petal
    points to 0. Returns the number of the petal, and the angle from its middle.
    """
    sector = 2 * math.pi / petal_count
    number = np.rint(angle / sector)
    return number.astype(np.int32) % petal_count, angle - number * sector


@dataclasses.dataclass(frozen=True)
class Bloom:
    """An image of a flower with its captions, and the truth about both.

    Args:
        image: array of shape `(image_size, image_size, 3)`, uint8.
        captions: tuple of ten strings.
        content: `Content`. What the captions name.
        style: `Style`. What they do not.
        class_id: int. Index into `CLASS_NAMES`.
    """

    image: np.ndarray
    captions: tuple[str, ...]
    content: Content
    style: Style
    class_id: int


def bloom_at(
    split: str, index: int, *, seed: int = 0, image_size: int = 64
) -> Bloom:
    """Renders one example of a split.

    Content, style and captions depend on `split`, `index` and `seed` alone:
    another `image_size` gives the same flower, finer or coarser. The classes
    of a split are sampled uniformly.

    Args:
        split: string. `"train"`, `"val"` or `"test"`.
        index: int. Not negative. There is no upper bound.
        seed: int. Not negative. Another seed gives another data set with the
            same classes in each split. Defaults to `0`.
        image_size: int. Side in pixels, from 32 to 256. Defaults to `64`.

    Returns:
        `Bloom`.

    Raises:
        ValueError: an argument is out of range.

    Example:

    >>> from keras_t2i import blooms
    >>> bloom = blooms.bloom_at("train", 0)
    >>> bloom.image.shape, len(bloom.captions)
    ((64, 64, 3), 10)
    """
    check_whole_number(index, "index", at_least=0)
    check_whole_number(seed, "seed", at_least=0)
    candidates = contents(split)
    key = np.random.SeedSequence([seed, SPLITS.index(split), index])
    rng = np.random.Generator(np.random.Philox(key))
    content = candidates[rng.integers(len(candidates))]
    style = random_style(rng)
    captions = bloom_captions(content, rng)
    image = render_bloom(content, style, image_size, int(rng.integers(2**32)))
    return Bloom(image, captions, content, style, class_id(content))
