"""Which training images images are most like, and whether they are copies."""

import numpy as np

from keras_t2i.metrics.feature_sets import feature_sets
from keras_t2i.metrics.feature_sets import squared_distance_blocks


def nearest_training_images(features, training_features):
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
        # Once more, since the squares of a copy do not cancel exactly.
        distances[rows] = np.linalg.norm(
            features[rows] - training[indices[rows]], axis=1
        )
    return indices, distances


def nearest_training_ratio(
    generated_features, real_features, training_features
):
    """Measures whether generated images are too near to training images.

    It is the median distance of the generated images to their nearest
    training images, divided by that of real images that were not trained on.
    Well below 1 the generator copies training images. Well above 1 its images
    are unlike all training images, which bad images are too.

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
