"""Groups of pictures of one style."""

import numpy as np

from keras_t2i.metrics.finite import check_finite
from keras_t2i.metrics.scikit_learn import scikit_learn


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
