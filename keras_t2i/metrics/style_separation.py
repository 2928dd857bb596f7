"""Whether a style encoder tells styles apart, whatever the content is."""

import dataclasses
import importlib

import numpy as np

from keras_t2i.checks import check_whole_number
from keras_t2i.metrics.feature_sets import check_finite
from keras_t2i.metrics.feature_sets import unit_rows


def scikit_learn(module):
    """Returns a module of scikit-learn.

    Args:
        module: string, such as `"cluster"`.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ModuleNotFoundError as error:
        raise ImportError(
            "K-means and ROC curves need scikit-learn. Received: "
            f"{error}. Install it: pip install 'keras-t2i[metrics]'"
        ) from error


def background_colors(images, masks=None):
    """Returns the mean color of the background of each picture.

    Args:
        images: uint8 array of shape `(num_images, height, width, 3)`.
        masks: bool array of shape `(num_images, height, width)`, true where a
            pixel is background, at least one in each picture. Defaults to
            `None`: the border, a 25th of the shorter side wide and at least
            two pixels.

    Returns:
        float array of shape `(num_images, 3)`, in [0, 255].

    Raises:
        ValueError: the shapes do not fit, or a picture has no background.

    Example:

    >>> images = np.full((1, 32, 32, 3), 200, "uint8")
    >>> images[:, 8:24, 8:24] = 0
    >>> keras_t2i.metrics.background_colors(images)
    array([[200., 200., 200.]])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            "`images` must be uint8 of shape (num_images, height, width, 3). "
            f"Received: {images.dtype} of shape {images.shape}"
        )
    if masks is None:
        masks = np.broadcast_to(_border(*images.shape[1:3]), images.shape[:3])
    masks = np.asarray(masks)
    if masks.dtype != bool or masks.shape != images.shape[:3]:
        raise ValueError(
            f"`masks` must be bool of shape {images.shape[:3]}. Received: "
            f"{masks.dtype} of shape {masks.shape}"
        )
    counts = masks.sum(axis=(1, 2))
    if not counts.all():
        raise ValueError(
            "`masks` must leave each picture some background. Received: none "
            f"for picture {int(np.argmin(counts))}"
        )
    sums = np.sum(images * masks[..., None], axis=(1, 2), dtype=np.float64)
    return sums / counts[:, None]


def _border(height, width):
    thickness = max(2, round(0.04 * min(height, width)))
    border = np.ones((height, width), bool)
    border[thickness:-thickness, thickness:-thickness] = False
    return border


def style_clusters(descriptors, num_clusters=100, seed=0):
    """Groups pictures by K-means on a description of their style.

    Args:
        descriptors: float array of shape `(num_pictures, size)`, such as
            `background_colors` returns it, or key-points of a pose.
        num_clusters: int. Defaults to `100`, as in the paper.
        seed: int. Of the first centers. Defaults to `0`.

    Returns:
        int array of shape `(num_pictures,)`: the cluster of each picture.

    Raises:
        ValueError: there are fewer pictures than clusters, or descriptors that
            are not finite.
        ImportError: scikit-learn is not installed.

    Example:

    >>> colors = np.array([[0.0], [1.0], [100.0]])
    >>> clusters = keras_t2i.metrics.style_clusters(colors, num_clusters=2)
    >>> bool(clusters[0] == clusters[1]), bool(clusters[0] == clusters[2])
    (True, False)

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    descriptors = np.asarray(descriptors, np.float64)
    if descriptors.ndim != 2 or len(descriptors) < num_clusters:
        raise ValueError(
            "`descriptors` must have the shape (num_pictures, size), of at "
            f"least {num_clusters} pictures, one a cluster. Received: shape "
            f"{descriptors.shape}. Take more pictures, or fewer `num_clusters`."
        )
    check_finite(descriptors, "descriptors")
    k_means = scikit_learn("cluster").KMeans(
        num_clusters, n_init=4, random_state=seed
    )
    return k_means.fit_predict(descriptors)


@dataclasses.dataclass(frozen=True)
class RocCurve:
    """A receiver operating characteristic.

    Attributes:
        false_positive_rates: float array of shape `(num_thresholds,)`. Shares
            of the pairs of other styles that are accepted, rising.
        true_positive_rates: float array of the same shape. Shares of the pairs
            of one style.
        auc: float in [0, 1]. Area under the curve; 0.5 is guessing.
    """

    false_positive_rates: np.ndarray
    true_positive_rates: np.ndarray
    auc: float


def style_verification(features, clusters, num_pairs=20_000, seed=0):
    """Scores how well features tell pairs of one style from other pairs.

    Pairs of pictures of one cluster must be more alike, by the cosine of their
    features, than pairs of two clusters. Half of the pairs are of either kind,
    each drawn uniformly from all pairs of its kind. Where style and content
    have come apart, the noise that a style encoder finds tells them well, and
    the embeddings of the pictures' texts do not at all.

    Args:
        features: dict of names to float arrays of shape
            `(num_pictures, size)`: what style encoders find in the pictures,
            and the text embeddings of the pictures as a baseline. All are
            scored on the same pairs.
        clusters: int array of shape `(num_pictures,)`: what style each
            picture is of, as known, or by `style_clusters`.
        num_pairs: int, at least 2: half are of either kind. Defaults to
            `20_000`.
        seed: int. Of the pairs. Defaults to `0`.

    Returns:
        dict of the names to `RocCurve`.

    Raises:
        ValueError: the shapes do not fit, features are not finite, or there
            are no two pictures of one cluster or of two.
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
    metrics = scikit_learn("metrics")
    curves = {}
    for name, values in features.items():
        values = np.asarray(values, np.float64)
        if values.ndim != 2 or len(values) != len(clusters):
            raise ValueError(
                f"`features` must hold one row for each of {len(clusters)} "
                f"pictures. Received: {name!r} of shape {values.shape}"
            )
        check_finite(values, f"features[{name!r}]")
        values = unit_rows(values)
        cosines = np.sum(values[first] * values[second], axis=1)
        false_rates, true_rates, _ = metrics.roc_curve(same, cosines)
        area = metrics.auc(false_rates, true_rates)
        curves[name] = RocCurve(false_rates, true_rates, float(area))
    return curves


def _pairs(clusters, num_pairs, seed):
    """Places of the two pictures of each pair, and whether it is of one."""
    values, places = np.unique(clusters.ravel(), return_inverse=True)
    sizes = np.bincount(places, minlength=1)
    if clusters.ndim != 1 or len(values) < 2 or sizes.max() < 2:
        raise ValueError(
            "`clusters` must hold one int a picture, with at least two "
            "clusters and two pictures in one of them. Received: shape "
            f"{clusters.shape} with {len(values)} clusters"
        )
    generator = np.random.default_rng(seed)
    num_same = num_pairs // 2
    # In this order, a cluster is a range.
    order = np.argsort(places, kind="stable")
    starts = np.cumsum(sizes) - sizes
    pairs = sizes * (sizes - 1)
    chosen = generator.choice(len(sizes), num_same, p=pairs / pairs.sum())
    first = generator.integers(sizes[chosen])
    # Any but the first one.
    second = generator.integers(sizes[chosen] - 1)
    second += second >= first
    same = np.stack([first, second]) + starts[chosen]
    # Any picture by the number of those that are of other clusters.
    others = len(clusters) - sizes
    chosen = generator.choice(
        len(sizes),
        num_pairs - num_same,
        p=sizes * others / (sizes * others).sum(),
    )
    first = starts[chosen] + generator.integers(sizes[chosen])
    second = generator.integers(others[chosen])
    # Past the cluster of the first one.
    second += np.where(second >= starts[chosen], sizes[chosen], 0)
    pairs = np.concatenate([same, np.stack([first, second])], axis=1)
    first, second = order[pairs]
    return first, second, np.arange(num_pairs) < num_same
