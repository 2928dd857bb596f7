"""The training images that images are most like."""

import numpy as np

from keras_t2i.metrics.feature_sets import feature_sets
from keras_t2i.metrics.nearest_neighbors import squared_distance_blocks


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
