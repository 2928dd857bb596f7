"""How many images of one set lie near images of the other."""

import numpy as np

from keras_t2i.metrics.feature_sets import feature_sets
from keras_t2i.metrics.feature_sets import squared_distance_blocks
from keras_t2i.metrics.feature_sets import squared_radii


def precision_recall(real_features, generated_features, k=5):
    """Measures improved precision and recall.

    Each image of a set stands for a ball around its features, which reaches
    to its k-th nearest neighbor within the set, and includes it. Precision is
    the share of the generated images in the ball of any real image: low where
    images are bad. Recall is the share of the real images in the ball of any
    generated image: low where kinds of images are missing.

    One outlier among the images of a set has a large ball, which the measure
    counts as covered: `density_coverage` is less sensitive to it.

    Args:
        real_features: array of shape `(num_real_images, num_features)`, of
            more than `k` images.
        generated_features: array of shape
            `(num_generated_images, num_features)`, of more than `k` images.
            Both depend on the numbers of images: compare only values of equal
            numbers.
        k: int, at least 1. Defaults to `5`; the paper has 3.

    Returns:
        Precision and recall, two floats in [0, 1]. 1 is best.

    Raises:
        ValueError: the shapes do not fit, a set has no more than `k` images,
            features are not finite, or `k` is no such number.

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


def _share_in_balls(features, centers, radii):
    covered = 0
    for _, distances in squared_distance_blocks(features, centers):
        covered += np.count_nonzero((distances <= radii).any(axis=1))
    return float(covered / len(features))


def density_coverage(real_features, generated_features, k=5):
    """Measures density and coverage.

    Each real image stands for a ball around its features, which reaches to
    its k-th nearest neighbor among the real images, and does not include it.
    Density is the number of balls that a generated image lies in, on average,
    divided by `k`. Coverage is the share of the balls that hold a generated
    image.

    Args:
        real_features: array of shape `(num_real_images, num_features)`, of
            more than `k` images.
        generated_features: array of shape
            `(num_generated_images, num_features)`. Coverage rises with their
            number: compare only values of equal numbers of images.
        k: int, at least 1. Defaults to `5`, as published.

    Returns:
        Density and coverage, two floats. Density is at least 0, and 1 where
        the images of both sets are the same; it can be larger, where generated
        images lie where real ones are dense. Coverage is in [0, 1], and 1 is
        best.

    Raises:
        ValueError: the shapes do not fit, there are no more than `k` real
            images, features are not finite, or `k` is no such number.

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
        num_inside += np.count_nonzero(inside)
        num_covered += np.count_nonzero(inside.any(axis=1))
    density = num_inside / (k * len(generated))
    return float(density), float(num_covered / len(real))
