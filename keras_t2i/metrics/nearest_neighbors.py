"""Distances between sets of features, in blocks."""

import numpy as np

from keras_t2i.metrics.row_blocks import row_blocks
from keras_t2i.metrics.whole_number import check_whole_number


def squared_distance_blocks(features, others):
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


def squared_radii(features, k, name):
    """Returns the squared distance of each row to its k-th nearest other row.

    Args:
        features: float64 array of shape `(num_rows, num_features)`.
        k: int, at least 1.
        name: string. The argument of the caller that holds the features.

    Returns:
        float64 array of shape `(num_rows,)`.

    Raises:
        ValueError: `k` is no whole number of at least 1, or there are no `k`
            other rows.
    """
    check_whole_number(k, "k", at_least=1)
    if len(features) <= k:
        raise ValueError(
            f"`{name}` must hold more than `k` images. Received: "
            f"{len(features)} images with k={k}. Take more images, or a "
            "smaller `k`."
        )
    k = int(k)
    radii = np.empty(len(features))
    for rows, distances in squared_distance_blocks(features, features):
        places = np.arange(rows.start, rows.stop)
        # An image is no neighbor of its own.
        distances[places - rows.start, places] = np.inf
        distances.partition(k - 1, axis=1)
        radii[rows] = distances[:, k - 1]
    return radii
