"""What captions leave open about a bloom."""

import dataclasses
import math

import numpy as np

from keras_t2i.datasets.blooms.attributes import BACKGROUNDS

# Kept free on every side, so that a flower is whole and the border is
# background.
_MARGIN = 0.04


@dataclasses.dataclass(frozen=True)
class Style:
    """How a bloom is shown: the part of it that captions never name.

    Args:
        background: string. One of `BACKGROUNDS`.
        center_x: float. Center of the flower, as a fraction of the side,
            from the left.
        center_y: float. The same from the top.
        radius: float. From the center to a petal's tip, as a fraction of the
            side.
        rotation: float. Direction of the first petal in radians, clockwise
            from the right.
        petal_width: float. Factor on the usual width of the petals.
        center_radius: float. Radius of the center, as a fraction of the
            flower's.
        brightness: float. Factor on the colors of petals and center.
        background_brightness: float. Factor on the colors of the background.
        texture: float. Strength of the veins and of the background's texture,
            from 0 to 1.
        light: float. Direction that light comes from in radians, clockwise
            from the right.

    Raises:
        ValueError: If there is no such background, or a radius is out of
            range.
    """

    background: str
    center_x: float
    center_y: float
    radius: float
    rotation: float
    petal_width: float = 1.0
    center_radius: float = 0.28
    brightness: float = 1.0
    background_brightness: float = 1.0
    texture: float = 0.5
    light: float = 0.0

    def __post_init__(self):
        if self.background not in BACKGROUNDS:
            raise ValueError(
                f"`background` must be one of {BACKGROUNDS}. "
                f"Received: {self.background!r}."
            )
        for field in ("radius", "center_radius"):
            value = getattr(self, field)
            if not 0 < value <= 1:
                raise ValueError(
                    f"`{field}` must be above 0 and at most 1. "
                    f"Received: {value!r}."
                )


def random_style(rng: np.random.Generator) -> Style:
    """Draws a style whose flower lies wholly inside the picture.

    Args:
        rng: `np.random.Generator`.

    Returns:
        `Style` with a radius from 0.28 to 0.42.

    Example:

    >>> from keras_t2i.datasets import blooms
    >>> style = blooms.random_style(np.random.default_rng(0))
    >>> 0.28 <= style.radius <= 0.42
    True
    """
    radius = rng.uniform(0.28, 0.42)
    low, high = radius + _MARGIN, 1 - radius - _MARGIN
    return Style(
        background=BACKGROUNDS[rng.integers(len(BACKGROUNDS))],
        center_x=rng.uniform(low, high),
        center_y=rng.uniform(low, high),
        radius=radius,
        rotation=rng.uniform(0, 2 * math.pi),
        petal_width=rng.uniform(0.92, 1.08),
        center_radius=rng.uniform(0.25, 0.31),
        brightness=rng.uniform(0.92, 1.04),
        background_brightness=rng.uniform(0.88, 1.12),
        texture=rng.uniform(0, 1),
        light=rng.uniform(0, 2 * math.pi),
    )
