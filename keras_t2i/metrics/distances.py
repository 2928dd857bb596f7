"""How far the distribution of generated images lies from real ones."""

import warnings

import numpy as np

from keras_t2i.checks import check_whole_number
from keras_t2i.metrics.feature_sets import feature_sets
from keras_t2i.metrics.feature_sets import row_blocks


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


def kernel_distance(
    real_features,
    generated_features,
    num_subsets=100,
    subset_size=1000,
    seed=0,
):
    """Measures the kernel distance between two sets of features.

    It is the unbiased estimate of the squared maximum mean discrepancy with
    the kernel `(x.y / num_features + 1)**3`, averaged over subsets of both
    sets. Its expectation does not depend on the number of images, so it suits
    small sets, for which the Frechet distance is biased. With the features of
    the Inception network it is the KID; with those of any other network it is
    not, and its values can not be compared with published ones.

    Each subset is chosen without replacement, independently of the others, so
    subsets have images in common. The standard deviation is that between the
    subsets. It is the deviation of a measurement on `subset_size` new images
    only where both sets are much larger than a subset. It shrinks as a subset
    nears a whole set, and is 0 where each subset holds all images: then it
    says nothing of how exact the mean is.

    Args:
        real_features: array of shape `(num_real_images, num_features)`, of at
            least two images.
        generated_features: array of shape
            `(num_generated_images, num_features)`, of at least two images.
        num_subsets: int, at least 1. Defaults to `100`.
        subset_size: int, at least 2. The number of images of either set in a
            subset, or all images of the smaller set where that has fewer.
            Defaults to `1000`.
        seed: int. Of the choice of the subsets. Defaults to `0`.

    Returns:
        Mean and standard deviation over the subsets, two floats. About 0 for
        sets of one distribution, where the mean can be negative.

    Raises:
        ValueError: the shapes do not fit, a set has fewer than two images,
            features are not finite, or a setting is no such number.

    Example:

    >>> real = np.array([[0.0], [1.0], [2.0]])
    >>> mean, deviation = keras_t2i.metrics.kernel_distance(real, real + 1.0)
    >>> round(mean, 3), round(deviation, 3)
    (21.667, 0.0)

    Reference:
        - [Binkowski et al., 2018](https://arxiv.org/abs/1801.01401), section
          4.
    """
    check_whole_number(num_subsets, "num_subsets", at_least=1)
    check_whole_number(subset_size, "subset_size", at_least=2)
    real, generated = feature_sets(
        at_least=2,
        real_features=real_features,
        generated_features=generated_features,
    )
    size = int(min(subset_size, len(real), len(generated)))
    generator = np.random.default_rng(seed)
    real_subsets, generated_subsets = (
        _subsets(len(features), int(num_subsets), size, generator)
        for features in (real, generated)
    )
    within_real = _kernel_sums(real, real_subsets)
    within_generated = _kernel_sums(generated, generated_subsets)
    between = _kernel_sums(real, real_subsets, generated, generated_subsets)
    squared = (within_real + within_generated) / (size * (size - 1))
    squared -= 2.0 * between / size**2
    return float(squared.mean()), float(squared.std())


def _subsets(num_images, num_subsets, size, generator):
    """Ones where an image is part of a subset, and zeros."""
    subsets = np.zeros((num_subsets, num_images))
    for subset in subsets:
        subset[generator.choice(num_images, size, replace=False)] = 1.0
    return subsets


def _kernel_sums(features, subsets, others=None, other_subsets=None):
    """Sums of the kernel over the pairs of each subset.

    Without others, over the pairs of two images of `features`. A pair of an
    image and itself would bias the estimate.
    """
    within = others is None
    if within:
        others, other_subsets = features, subsets
    sums = np.zeros(len(subsets))
    for rows in row_blocks(len(features), len(others)):
        bases = features[rows] @ others.T
        bases /= features.shape[1]
        bases += 1.0
        # Much faster than a power.
        kernels = bases * bases
        kernels *= bases
        if within:
            places = np.arange(rows.start, rows.stop)
            kernels[places - rows.start, places] = 0.0
        sums += np.einsum("ij,ij->i", subsets[:, rows] @ kernels, other_subsets)
    return sums
