"""Names colors as people would, in spite of blur and fading."""

import numpy as np

_XYZ_OF_RGB = np.array(
    [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
)


def nearest_color(
    color: np.ndarray, palette: dict[str, tuple[int, int, int]]
) -> str:
    """Returns the name of the color in a palette that looks most alike.

    Args:
        color: array of shape `(3,)`. RGB from 0 to 255.
        palette: dictionary from names to RGB, each from 0 to 255.

    Returns:
        String, one of the palette's names.
    """
    looks = _look(np.array([*palette.values(), color], np.float64))
    distances = np.linalg.norm(looks[:-1] - looks[-1], axis=-1)
    return list(palette)[int(np.argmin(distances))]


def _look(rgb: np.ndarray) -> np.ndarray:
    """CIELAB, with hue made to matter more than strength and lightness."""
    rgb = rgb / 255
    linear = np.where(
        rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92
    )
    # White is (1, 1, 1) after the division.
    xyz = linear @ _XYZ_OF_RGB.T / _XYZ_OF_RGB.sum(axis=1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    lightness, a, b = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    # Petals that run into the background lose chroma long before hue: plain
    # CIELAB calls faded red pink.
    strength = 100 / (60 + np.hypot(a, b))
    return np.stack([0.8 * lightness, a * strength, b * strength], axis=-1)
