"""One embedding for each class."""

import numpy as np


def class_means(embeddings, class_ids):
    """Averages embeddings by class.

    Args:
        embeddings: array of shape `(num_rows, embedding_dim)`.
        class_ids: int array of shape `(num_rows,)`.

    Returns:
        The classes, sorted, of shape `(num_classes,)`, and the means, float64
        of shape `(num_classes, embedding_dim)`.

    Example:

    >>> embeddings = np.array([[1.0, 0.0], [3.0, 2.0], [0.0, 4.0]])
    >>> classes, means = keras_t2i.metrics.class_means(embeddings, [7, 7, 2])
    >>> classes.tolist(), means.tolist()
    ([2, 7], [[0.0, 4.0], [2.0, 1.0]])
    """
    classes, places = np.unique(class_ids, return_inverse=True)
    means = np.zeros((len(classes), np.shape(embeddings)[1]))
    np.add.at(means, places, embeddings)
    return classes, means / np.bincount(places)[:, None]
