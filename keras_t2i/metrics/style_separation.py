"""Whether a style encoder tells styles apart, whatever the content is."""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_t2i.checks import check_whole_number
from keras_t2i.metrics.distances import check_finite
from keras_t2i.metrics.distances import unit_rows


def _scikit_learn(module: str) -> Any:
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ModuleNotFoundError as error:
        raise ImportError(
            "K-means and ROC curves need scikit-learn. Received: "
            f"{error}. Install it: pip install 'keras-t2i[metrics]'"
        ) from error


def style_clusters(
    descriptors: ArrayLike, num_clusters: int = 100, seed: int = 0
) -> np.ndarray:
    """Groups images by K-means on a description of their style.

    Args:
        descriptors: float array of shape `(num_images, size)`, such as the
            `background_colors`, or the key points of a pose.
        num_clusters: int. Defaults to `100`, as in the paper.
        seed: int, for the first centers. Defaults to `0`.

    Returns:
        int array of shape `(num_images,)`: the cluster of each image.

    Raises:
        ValueError: there are fewer images than clusters, descriptors are not
            finite, or a number is out of range.
        ImportError: scikit-learn is not installed.

    Example:

    >>> colors = np.array([[0.0], [1.0], [100.0]])
    >>> clusters = keras_t2i.metrics.style_clusters(colors, num_clusters=2)
    >>> bool(clusters[0] == clusters[1]), bool(clusters[0] == clusters[2])
    (True, False)

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    check_whole_number(num_clusters, "num_clusters", at_least=1)
    check_whole_number(seed, "seed", at_least=0)
    descriptors = np.asarray(descriptors, np.float64)
    if descriptors.ndim != 2 or len(descriptors) < num_clusters:
        raise ValueError(
            "`descriptors` must have the shape (num_images, size), of at "
            f"least {num_clusters} images, one per cluster. Received: shape "
            f"{descriptors.shape}. Take more images, or fewer `num_clusters`."
        )
    check_finite(descriptors, "descriptors")
    k_means = _scikit_learn("cluster").KMeans(
        num_clusters, n_init=4, random_state=seed
    )
    return k_means.fit_predict(descriptors)


@dataclasses.dataclass(frozen=True)
class RocCurve:
    """A receiver operating characteristic.

    Attributes:
        false_positive_rates: float array of shape `(num_thresholds,)`. Shares
            of the pairs of two styles that are accepted, rising.
        true_positive_rates: float array of the same shape. Shares of the pairs
            of one style that are accepted.
        auc: float in [0, 1]. Area under the curve; 0.5 is guessing.
    """

    false_positive_rates: np.ndarray
    true_positive_rates: np.ndarray
    auc: float


def style_verification(
    features: Mapping[str, ArrayLike],
    clusters: ArrayLike,
    num_pairs: int = 20_000,
    seed: int = 0,
) -> dict[str, RocCurve]:
    """Scores how well features tell pairs of one style from other pairs.

    Two images of one cluster should be more alike, by the cosine of their
    features, than two images of different clusters. Half of the pairs are of
    either kind, sampled uniformly from all pairs of that kind. If style and
    content are disentangled, the noise that a style encoder finds tells the
    pairs apart well, and text embeddings do not at all.

    Args:
        features: dict of names to float arrays of shape `(num_images, size)`:
            what style encoders find in the images, and text embeddings as a
            baseline. All are scored on the same pairs.
        clusters: int array of shape `(num_images,)`: the style of each image,
            known or from `style_clusters`.
        num_pairs: int, at least 2. Defaults to `20_000`.
        seed: int, for the pairs. Defaults to `0`.

    Returns:
        dict of the names to `RocCurve`.

    Raises:
        ValueError: the shapes do not fit, features are not finite, there is
            only one cluster, or none has two images.
        ImportError: scikit-learn is not installed.

    Example:

    >>> clusters = np.array([0, 0, 1, 1])
    >>> features = {
    ...     "S(x)": np.array([[1, 0], [2, 0], [0, 1], [0, 3]]),
    ...     "text": np.array([[1, 0], [0, 1], [1, 0], [0, 1]]),
    ... }
    >>> curves = keras_t2i.metrics.style_verification(features, clusters)
    >>> curves["S(x)"].auc
    1.0

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    check_whole_number(num_pairs, "num_pairs", at_least=2)
    clusters = np.asarray(clusters)
    first, second, same = _pairs(clusters, num_pairs, seed)
    metrics = _scikit_learn("metrics")
    curves = {}
    for name, rows in features.items():
        values = np.asarray(rows, np.float64)
        if values.ndim != 2 or len(values) != len(clusters):
            raise ValueError(
                f"`features` must hold one row for each of {len(clusters)} "
                f"images. Received: {name!r} of shape {values.shape}"
            )
        check_finite(values, f"features[{name!r}]")
        values = unit_rows(values)
        cosines = np.sum(values[first] * values[second], axis=1)
        false_rates, true_rates, _ = metrics.roc_curve(same, cosines)
        area = metrics.auc(false_rates, true_rates)
        curves[name] = RocCurve(false_rates, true_rates, float(area))
    return curves


def _pairs(
    clusters: np.ndarray, num_pairs: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of both images of each pair, and whether they are of one cluster."""
    values, places = np.unique(clusters.ravel(), return_inverse=True)
    sizes = np.bincount(places, minlength=1)
    if clusters.ndim != 1 or len(values) < 2 or sizes.max() < 2:
        raise ValueError(
            "`clusters` must hold one int per image, with at least two "
            "clusters and two images in one of them. Received: shape "
            f"{clusters.shape} with {len(values)} clusters"
        )
    generator = np.random.default_rng(seed)
    num_same = num_pairs // 2
    # In this order, each cluster is a range.
    order = np.argsort(places, kind="stable")
    starts = np.cumsum(sizes) - sizes
    pairs = sizes * (sizes - 1)
    chosen = generator.choice(len(sizes), num_same, p=pairs / pairs.sum())
    first = generator.integers(sizes[chosen])
    # Any image but the first one.
    second = generator.integers(sizes[chosen] - 1)
    second += second >= first
    same = np.stack([first, second]) + starts[chosen]
    # Any image, weighted by the number of images of other clusters.
    others = len(clusters) - sizes
    chosen = generator.choice(
        len(sizes),
        num_pairs - num_same,
        p=sizes * others / (sizes * others).sum(),
    )
    first = starts[chosen] + generator.integers(sizes[chosen])
    second = generator.integers(others[chosen])
    # Skip the cluster of the first one.
    second += np.where(second >= starts[chosen], sizes[chosen], 0)
    pairs = np.concatenate([same, np.stack([first, second])], axis=1)
    first, second = order[pairs]
    return first, second, np.arange(num_pairs) < num_same
