"""Sets of image features that are compared with each other."""

import numpy as np

from keras_t2i.metrics.finite import check_finite


def feature_sets(at_least=1, **sets):
    """Returns sets of features as float64 arrays of the same width.

    Args:
        at_least: int. The number of images that each set must have. Defaults
            to `1`.
        **sets: argument names to arrays of shape `(num_images, num_features)`.

    Returns:
        List of float64 arrays, in the given order.

    Raises:
        ValueError: the shapes do not fit, or features are not finite.
    """
    checked = []
    for name, features in sets.items():
        features = np.asarray(features, np.float64)
        if (
            features.ndim != 2
            or len(features) < at_least
            or features.shape[1] == 0
        ):
            raise ValueError(
                f"`{name}` must have the shape (num_images, num_features), of "
                f"{at_least} images at the least. Received: shape "
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
