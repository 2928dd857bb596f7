"""How far generated images lie from real ones, by two moments of features."""

import warnings

import numpy as np

from keras_t2i.metrics.feature_sets import feature_sets


def frechet_distance(real_features, generated_features):
    """Measures the Frechet distance between two sets of features.

    Normal distributions with the means and the covariances of the two sets
    have this (squared) distance. With the features of the Inception network
    of Heusel et al. it is the FID; with those of any other network it is not,
    and its values can not be compared with published ones.

    Sets of few images give too large a distance, even where they come from
    one distribution: compare only values of equal numbers of images.

    Args:
        real_features: array of shape `(num_real_images, num_features)`, of at
            least two images.
        generated_features: array of shape
            `(num_generated_images, num_features)`, of at least two images.

    Returns:
        float of at least 0, in squared units of the features. 0 is best.

    Raises:
        ValueError: the shapes do not fit, a set has fewer than two images, or
            features are not finite.

    Example:

    >>> real = np.array([[0.0], [2.0], [4.0]])
    >>> distance = keras_t2i.metrics.frechet_distance(real, real + 3.0)
    >>> round(distance, 6)
    9.0

    Reference:
        - [Heusel et al., 2017](https://arxiv.org/abs/1706.08500), equation 6.
    """
    real, generated = feature_sets(
        at_least=2,
        real_features=real_features,
        generated_features=generated_features,
    )
    fewest = min(len(real), len(generated))
    if fewest < real.shape[1]:
        warnings.warn(
            f"The Frechet distance of {fewest} images with {real.shape[1]} "
            "features is biased upwards: take more images than features.",
            stacklevel=2,
        )
    real_mean, real_root = _moments(real)
    generated_mean, generated_root = _moments(generated)
    # With S1 = A'A and S2 = B'B, Tr((S1 S2)^(1/2)) is the sum of the singular
    # values of AB'. Unlike the root of the product of the covariances it needs
    # neither full rank nor the roots of eigenvalues that are nearly 0.
    singular_values = np.linalg.svd(
        real_root @ generated_root.T, compute_uv=False
    )
    distance = (
        np.sum((real_mean - generated_mean) ** 2)
        + np.sum(real_root**2)
        + np.sum(generated_root**2)
        - 2.0 * np.sum(singular_values)
    )
    return float(max(distance, 0.0))


def _moments(features):
    """Mean, and a small A with A'A being the covariance."""
    mean = features.mean(axis=0)
    root = (features - mean) / np.sqrt(len(features) - 1)
    if len(root) > root.shape[1]:
        root = np.linalg.qr(root, mode="r")
    return mean, root
