"""The outline of a flower, in units of its radius."""

import math

import numpy as np


def half_width(
    along: np.ndarray, petal_count: int, petal_shape: str
) -> np.ndarray:
    """Half the width of a petal at a distance from the flower's center.

    Args:
        along: float array. Distance from the flower's center along the middle
            of the petal: 0 is the center, 1 the tip. Not negative.
        petal_count: int. One of `PETAL_COUNTS`.
        petal_shape: string. One of `PETAL_SHAPES`.

    Returns:
        Float array of the shape of `along`; 0 where there is no petal.
    """
    # Petals of a crowded flower are slimmer: they may touch, not merge.
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

    Args:
        angle: float array. Direction from the flower's center in radians; the
            first petal points to 0.
        petal_count: int. One of `PETAL_COUNTS`.

    Returns:
        Tuple of two arrays of the shape of `angle`: the number of the petal,
        and the angle from the middle of that petal in radians.
    """
    sector = 2 * math.pi / petal_count
    number = np.rint(angle / sector)
    return number.astype(np.int32) % petal_count, angle - number * sector
