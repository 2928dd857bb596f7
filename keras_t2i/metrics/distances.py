"""Sets of image features: checks, and distances of two sets or within one."""

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from keras_t2i.checks import check_whole_number

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

    Each set has the shape `(num_images, num_features)` and at least `at_least`
    images. The arrays are in the given order. Raises `ValueError` if the shapes
    do not fit, or features are not finite.
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

    `features` is float64 of shape `(num_rows, num_features)`, and `others` of
    `(num_others, num_features)`. Each item is the slice of the rows, and an
    array of shape `(rows_of_slice, num_others)`, which the caller may write to.
    """
    # Rounding depends on the origin: equal rows far from it would have small
    # distances.
    features, others = features - others[0], others - others[0]
    squares = np.einsum("ij,ij->i", features, features)
    other_squares = np.einsum("ij,ij->i", others, others)
    for rows in row_blocks(len(features), len(others)):
        distances = features[rows] @ others.T
        distances *= -2.0
        distances += squares[rows, None]
        distances += other_squares
        yield rows, np.maximum(distances, 0.0, out=distances)


def frechet_distance(
    real_features: ArrayLike, generated_features: ArrayLike
) -> float:
    """Measures the Frechet distance between two sets of features.

    It is the (squared) distance of two normal distributions with the means and
    covariances of the sets. With the features of the Inception network of
    Heusel et al. it is the FID. With another network it is not, and its values
    cannot be compared with published ones.

    Small sets give too large a distance, even if they come from one
    distribution: compare only values of equal numbers of images.

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


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and a small A with A'A being the covariance."""
    mean = features.mean(axis=0)
    root = (features - mean) / np.sqrt(len(features) - 1)
    if len(root) > root.shape[1]:
        root = np.linalg.qr(root, mode="r")
    return mean, root


def kernel_distance(
    real_features: ArrayLike,
    generated_features: ArrayLike,
    num_subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Measures the kernel distance between two sets of features.

    It is the unbiased estimate of the squared maximum mean discrepancy with
    the kernel `(x.y / num_features + 1)**3`, averaged over subsets of both
    sets. Its expectation does not depend on the number of images, so it suits
    small sets, for which the Frechet distance is biased. With the features of
    the Inception network it is the KID. With another network it is not, and
    its values cannot be compared with published ones.

    Each subset is chosen without replacement, independently of the others. The
    standard deviation between the subsets tells how exact a measurement on
    `subset_size` images is only if both sets are much larger than a subset. It
    is 0 where each subset holds all images.

    Args:
        real_features: array of shape `(num_real_images, num_features)`, of at
            least two images.
        generated_features: array of shape
            `(num_generated_images, num_features)`, of at least two images.
        num_subsets: int, at least 1. Defaults to `100`.
        subset_size: int, at least 2. Images of either set in a subset; at most
            all images of the smaller set. Defaults to `1000`.
        seed: int, for the choice of the subsets. Defaults to `0`.

    Returns:
        Mean and standard deviation over the subsets, two floats. For sets of
        one distribution, the mean is about 0 and can be negative.

    Raises:
        ValueError: the shapes do not fit, a set has fewer than two images,
            features are not finite, or a number is too small.

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
    sets = (real, real_subsets), (generated, generated_subsets)
    # A pair of an image and itself would bias the estimate.
    within_real, within_generated = (
        _kernel_sums(*each, *each, without_same=True) for each in sets
    )
    between = _kernel_sums(*sets[0], *sets[1])
    squared = (within_real + within_generated) / (size * (size - 1))
    squared -= 2.0 * between / size**2
    return float(squared.mean()), float(squared.std())


def _subsets(
    num_images: int, num_subsets: int, size: int, generator: np.random.Generator
) -> np.ndarray:
    """A row for each subset, with ones for its images."""
    subsets = np.zeros((num_subsets, num_images))
    for subset in subsets:
        subset[generator.choice(num_images, size, replace=False)] = 1.0
    return subsets


def _kernel_sums(
    features: np.ndarray,
    subsets: np.ndarray,
    others: np.ndarray,
    other_subsets: np.ndarray,
    without_same: bool = False,
) -> np.ndarray:
    """Sums of the kernel over the pairs of each subset."""
    sums = np.zeros(len(subsets))
    for rows in row_blocks(len(features), len(others)):
        bases = features[rows] @ others.T
        bases /= features.shape[1]
        bases += 1.0
        # Much faster than a power.
        kernels = bases * bases
        kernels *= bases
        if without_same:
            places = np.arange(rows.start, rows.stop)
            kernels[places - rows.start, places] = 0.0
        sums += np.einsum("ij,ij->i", subsets[:, rows] @ kernels, other_subsets)
    return sums


def diversity_within_captions(
    features: ArrayLike, caption_ids: ArrayLike
) -> float:
    """Measures how far images of one caption lie apart, relative to others.

    It is the mean distance between the features of two images of one caption,
    divided by that of different captions. It is near 0 if a generator ignores
    its noise, and near 1 if it ignores the caption.

    Args:
        features: array of shape `(num_images, num_features)`.
        caption_ids: int array of shape `(num_images,)`: the caption that each
            image was generated from. There must be at least two captions, and
            one of them must have two images.

    Returns:
        float of at least 0: a ratio of mean Euclidean distances, each over
        all pairs of its kind.

    Raises:
        ValueError: the shapes do not fit, features are not finite, no caption
            has two images, all images are of one caption, or all images of
            different captions have the same features.

    Example:

    >>> features = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> keras_t2i.metrics.diversity_within_captions(features, [7, 7, 2, 2])
    0.1
    """
    (image_features,) = feature_sets(features=features)
    num_images = len(image_features)
    if np.shape(caption_ids) != (num_images,):
        raise ValueError(
            "`caption_ids` must hold one id per image. Received: "
            f"{num_images} images and ids of shape {np.shape(caption_ids)}"
        )
    captions, places = np.unique(caption_ids, return_inverse=True)
    sizes = np.bincount(places)
    if len(captions) < 2 or sizes.max() < 2:
        raise ValueError(
            "`caption_ids` must hold at least two captions, and two images of "
            f"one of them. Received: {len(captions)} captions of {len(places)} "
            "images. Generate several images from each of several captions."
        )
    # Each pair twice, and the distance 0 of each image to itself.
    within, total = 0.0, 0.0
    for rows, distances in squared_distance_blocks(
        image_features, image_features
    ):
        np.sqrt(distances, out=distances)
        total += distances.sum()
        within += distances[places[rows, None] == places].sum()
    num_within = np.sum(sizes * (sizes - 1))
    num_between = num_images**2 - np.sum(sizes**2)
    between_mean = (total - within) / num_between
    if between_mean == 0:
        raise ValueError(
            "`features` must tell images of different captions apart. "
            f"Received: {num_images} images with a mean distance of "
            f"{between_mean} between captions. The generator may have "
            "collapsed: take an earlier checkpoint."
        )
    return float(within / num_within / between_mean)
