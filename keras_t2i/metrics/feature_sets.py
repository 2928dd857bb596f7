"""Sets of features: checks, and distances between them in blocks."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

# 64 MiB of float64.
_VALUES_AT_A_TIME = 2**23


def check_finite(values: np.ndarray, name: str) -> None:
    """Raises `ValueError` for rows that hold NaN or infinities."""
    bad_rows = np.count_nonzero(~np.isfinite(values).all(axis=1))
    if bad_rows:
        raise ValueError(
            f"`{name}` must hold finite numbers. Received: NaN or infinity in "
            f"{bad_rows} of {len(values)} rows. The network may have "
            "diverged: take an earlier checkpoint."
        )


def feature_sets(at_least: int = 1, **sets: ArrayLike) -> list[np.ndarray]:
    """Returns sets of features as float64 arrays of the same width.

    Args:
        at_least: int. How many images each set must have. Defaults to `1`.
        **sets: argument names to arrays of shape `(num_images, num_features)`.

    Returns:
        list of float64 arrays, in the given order.

    Raises:
        ValueError: the shapes do not fit, or features are not finite.
    """
    checked = []
    for name, values in sets.items():
        features = np.asarray(values, np.float64)
        if (
            features.ndim != 2
            or len(features) < at_least
            or features.shape[1] == 0
        ):
            raise ValueError(
                f"`{name}` must have the shape (num_images, num_features), of "
                f"at least {at_least} images. Received: shape "
                f"{features.shape}. Flatten or pool the features of each image."
            )
        check_finite(features, name)
        checked.append(features)
    widths = {name: rows.shape[1] for name, rows in zip(sets, checked)}
    if len(set(widths.values())) > 1:
        raise ValueError(
            "All sets must have the same number of features. Received: "
            f"{widths}. Take the features of all images from one network."
        )
    return checked


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Scales rows to length 1; rows of zeros stay as they are."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(norms, 1e-12)


def row_blocks(num_rows: int, num_columns: int) -> Iterator[slice]:
    """Yields slices of the rows, of a bounded number of values each."""
    size = max(1, _VALUES_AT_A_TIME // num_columns)
    for start in range(0, num_rows, size):
        yield slice(start, min(start + size, num_rows))


def squared_distance_blocks(
    features: np.ndarray, others: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields squared Euclidean distances of some rows to all others.

    Args:
        features: float64 array of shape `(num_rows, num_features)`.
        others: float64 array of shape `(num_others, num_features)`.

    Yields:
        The slice of the rows, and an array of shape
        `(rows_of_slice, num_others)`, which the caller may write to.
    """
    squares = np.einsum("ij,ij->i", features, features)
    other_squares = np.einsum("ij,ij->i", others, others)
    for rows in row_blocks(len(features), len(others)):
        distances = features[rows] @ others.T
        distances *= -2.0
        distances += squares[rows, None]
        distances += other_squares
        yield rows, np.maximum(distances, 0.0, out=distances)
