"""How much of an attribute can be read from embeddings linearly."""

import numpy as np

# Of the variance of the features: enough for those that depend on each other.
_PENALTY = 1e-3


def linear_probe_accuracy(embeddings, labels, test_embeddings, test_labels):
    """Fits a linear classifier on embeddings and measures it on others.

    The classifier is the ridge regression of one column a label; it needs no
    settings and no random numbers. Features are standardized by those it is
    fitted on.

    Args:
        embeddings: array of shape `(num_rows, embedding_dim)`. To fit on.
        labels: array of shape `(num_rows,)`.
        test_embeddings: array of shape `(num_test_rows, embedding_dim)`.
        test_labels: array of shape `(num_test_rows,)`.

    Returns:
        Share of the test rows, in [0, 1].

    Example:

    >>> embeddings = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    >>> labels = ["small", "small", "large", "large"]
    >>> float(keras_t2i.metrics.linear_probe_accuracy(
    ...     embeddings, labels, [[0.2, 5.0], [2.7, 5.0]], ["small", "large"]
    ... ))
    1.0
    """
    embeddings = np.asarray(embeddings, np.float64)
    mean, deviation = embeddings.mean(axis=0), embeddings.std(axis=0)
    deviation[deviation == 0] = 1.0

    def standardized(rows):
        return (np.asarray(rows, np.float64) - mean) / deviation

    features = standardized(embeddings)
    known, places = np.unique(labels, return_inverse=True)
    targets = np.eye(len(known))[places]
    share = targets.mean(axis=0)
    squares = features.T @ features / len(features)
    weights = np.linalg.solve(
        squares + _PENALTY * np.eye(len(squares)),
        features.T @ (targets - share) / len(features),
    )
    found = known[(standardized(test_embeddings) @ weights + share).argmax(1)]
    return np.mean(found == np.asarray(test_labels))
