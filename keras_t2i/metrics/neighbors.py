"""How near images of one set lie to images of another."""

import numpy as np
from numpy.typing import ArrayLike

from keras_t2i.checks import check_whole_number
from keras_t2i.metrics.distances import feature_sets
from keras_t2i.metrics.distances import squared_distance_blocks


def precision_recall(
    real_features: ArrayLike, generated_features: ArrayLike, k: int = 5
) -> tuple[float, float]:
    """Measures improved precision and recall.

    Each image of a set has a ball around its features, up to and including its
    k-th nearest neighbor within the set. Precision is the share of the
    generated images in the ball of any real image: low where images are bad.
    Recall is the share of the real images in the ball of any generated image:
    low where kinds of images are missing.

    A single outlier has a large ball, all of which counts as covered:
    `density_coverage` is less sensitive to it.

    Args:
        real_features: array of shape `(num_real_images, num_features)`, of
            more than `k` images.
        generated_features: array of shape
            `(num_generated_images, num_features)`, of more than `k` images.
            Both results depend on the numbers of images: compare only values
            of equal numbers.
        k: int, at least 1. Defaults to `5`; the paper has 3.

    Returns:
        Precision and recall, two floats in [0, 1]. 1 is best.

    Raises:
        ValueError: the shapes do not fit, a set has no more than `k` images,
            features are not finite, or `k` is too small.

    Example:

    >>> real = np.array([[0.0], [1.0], [3.0]])
    >>> generated = np.array([[0.5], [1.0], [9.0], [10.0]])
    >>> keras_t2i.metrics.precision_recall(real, generated, k=1)
    (0.5, 0.6666666666666666)

    Reference:
        - [Kynkaanniemi et al., 2019](https://arxiv.org/abs/1904.06991),
          equations 1 and 2.
    """
    real, generated = feature_sets(
        real_features=real_features, generated_features=generated_features
    )
    real_radii = squared_radii(real, k, "real_features")
    generated_radii = squared_radii(generated, k, "generated_features")
    precision = _share_in_balls(generated, real, real_radii)
    recall = _share_in_balls(real, generated, generated_radii)
    return precision, recall


def _share_in_balls(
    features: np.ndarray, centers: np.ndarray, radii: np.ndarray
) -> float:
    covered = 0
    for _, distances in squared_distance_blocks(features, centers):
        covered += int(np.sum((distances <= radii).any(axis=1)))
    return covered / len(features)


def density_coverage(
    real_features: ArrayLike, generated_features: ArrayLike, k: int = 5
) -> tuple[float, float]:
    """Measures density and coverage.

    Each real image has a ball around its features, up to but not including its
    k-th nearest neighbor among the real images. Density is the mean number of
    balls that a generated image lies in, divided by `k`. Coverage is the share
    of the balls that hold a generated image.

    Args:
        real_features: array of shape `(num_real_images, num_features)`, of
            more than `k` images.
        generated_features: array of shape
            `(num_generated_images, num_features)`. Coverage rises with their
            number: compare only values of equal numbers of images.
        k: int, at least 1. Defaults to `5`, as published.

    Returns:
        Density and coverage, two floats. Density is at least 0, and 1 where
        both sets are the same; it is larger where generated images lie among
        dense real ones. Coverage is in [0, 1], and 1 is best.

    Raises:
        ValueError: the shapes do not fit, there are no more than `k` real
            images, features are not finite, or `k` is too small.

    Example:

    >>> real = np.array([[0.0], [1.0], [3.0]])
    >>> generated = np.array([[0.5], [9.0]])
    >>> keras_t2i.metrics.density_coverage(real, generated, k=1)
    (1.0, 0.6666666666666666)

    Reference:
        - [Naeem et al., 2020](https://arxiv.org/abs/2002.09797), section 3.
    """
    real, generated = feature_sets(
        real_features=real_features, generated_features=generated_features
    )
    radii = squared_radii(real, k, "real_features")
    num_inside, num_covered = 0, 0
    for rows, distances in squared_distance_blocks(real, generated):
        inside = distances < radii[rows, None]
        num_inside += int(inside.sum())
        num_covered += int(inside.any(axis=1).sum())
    density = num_inside / (int(k) * len(generated))
    return float(density), num_covered / len(real)


def nearest_training_images(
    features: ArrayLike, training_features: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the training image that is nearest to each image.

    Args:
        features: array of shape `(num_images, num_features)`.
        training_features: array of shape
            `(num_training_images, num_features)`, from the same network.

    Returns:
        The rows of the nearest training images, int array of shape
        `(num_images,)`, and their Euclidean distances, float64 array of the
        same shape.

    Raises:
        ValueError: the shapes do not fit, or features are not finite.

    Example:

    >>> training = np.array([[0.0, 0.0], [3.0, 4.0]])
    >>> indices, distances = keras_t2i.metrics.nearest_training_images(
    ...     np.array([[3.0, 3.0], [0.0, 0.0]]), training
    ... )
    >>> indices.tolist(), distances.tolist()
    ([1, 0], [1.0, 0.0])
    """
    features, training = feature_sets(
        features=features, training_features=training_features
    )
    indices = np.empty(len(features), np.int64)
    distances = np.empty(len(features))
    for rows, squared in squared_distance_blocks(features, training):
        indices[rows] = squared.argmin(axis=1)
        # Not from `squared`, where rounding keeps copies from being at 0.
        distances[rows] = np.linalg.norm(
            features[rows] - training[indices[rows]], axis=1
        )
    return indices, distances


def nearest_training_ratio(
    generated_features: ArrayLike,
    real_features: ArrayLike,
    training_features: ArrayLike,
) -> float:
    """Measures whether generated images are too near to training images.

    It is the median distance of the generated images to their nearest
    training images, divided by that of real images that were not trained on.
    Well below 1, the generator copies training images. Well above 1, its
    images are unlike all training images, as bad images are.

    Args:
        generated_features: array of shape
            `(num_generated_images, num_features)`.
        real_features: array of shape `(num_real_images, num_features)`, of
            test images, none of which is a training image.
        training_features: array of shape
            `(num_training_images, num_features)`.

    Returns:
        float of at least 0, a ratio of Euclidean distances.

    Raises:
        ValueError: the shapes do not fit, features are not finite, or half of
            the real images are training images.

    Example:

    >>> training = np.array([[0.0], [10.0]])
    >>> keras_t2i.metrics.nearest_training_ratio(
    ...     [[1.0], [9.0]], [[2.0], [14.0], [5.0]], training
    ... )
    0.25
    """
    _, generated_distances = nearest_training_images(
        generated_features, training_features
    )
    _, real_distances = nearest_training_images(
        real_features, training_features
    )
    real_median = np.median(real_distances)
    if real_median == 0:
        raise ValueError(
            "`real_features` must be of images that were not trained on. "
            f"Received: {np.count_nonzero(real_distances == 0)} of "
            f"{len(real_distances)} images with the features of a training "
            "image. Take the images of the test split."
        )
    return float(np.median(generated_distances) / real_median)


def squared_radii(features: np.ndarray, k: int, name: str) -> np.ndarray:
    """Returns the squared distance of each row to its k-th nearest other row.

    `features` is float64 of shape `(num_rows, num_features)`, and the result is
    float64 of shape `(num_rows,)`. Errors call the features `name`.
    """
    check_whole_number(k, "k", at_least=1)
    if len(features) <= k:
        raise ValueError(
            f"`{name}` must hold more than `k` images. Received: "
            f"{len(features)} images with k={k}. Take more images, or a "
            "smaller `k`."
        )
    radii = np.empty(len(features))
    for rows, distances in squared_distance_blocks(features, features):
        places = np.arange(rows.start, rows.stop)
        # An image is not its own neighbor.
        distances[places - rows.start, places] = np.inf
        distances.partition(k - 1, axis=1)
        radii[rows] = distances[:, k - 1]
    return radii
