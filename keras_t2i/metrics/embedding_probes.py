"""What embeddings hold: attributes, and sentences in between."""

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


def interpolation_premise(embeddings_a, embeddings_b, embeddings_between):
    """Measures what GAN-INT takes for granted.

    GAN-INT draws from the mean of the embeddings of two sentences A and B, and
    expects it to stand for a sentence in between. Measured is the cosine
    between that mean and the embedding of a sentence that says half of A and
    half of B, and, to compare, of such a sentence of another pair.

    Embeddings of all sentences may have much in common. The centered cosines
    are those of what is left without the mean of all embeddings of A and B.

    Args:
        embeddings_a: array of shape `(num_pairs, embedding_dim)`, of at least
            two pairs.
        embeddings_b: array of the same shape.
        embeddings_between: array of the same shape.

    Returns:
        dict of the mean cosines: `between`, `random`, `centered_between` and
        `centered_random`.

    Raises:
        ValueError: there are fewer than two pairs.

    Example:

    >>> a, b = np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([[0.0, 2.0]] * 2)
    >>> cosines = keras_t2i.metrics.interpolation_premise(a, b, (a + b) / 2)
    >>> round(cosines["between"], 3), round(cosines["random"], 3)
    (1.0, 0.707)

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.3.
    """
    a, b, between = (
        np.asarray(rows, np.float64)
        for rows in (embeddings_a, embeddings_b, embeddings_between)
    )
    if len(a) < 2:
        raise ValueError(
            "`embeddings_a` must hold at least two pairs' first. Received: "
            f"{len(a)}"
        )
    center = np.concatenate([a, b]).mean(axis=0)
    cosines = {}
    for prefix, origin in (("", 0.0), ("centered_", center)):
        mean = (a + b) / 2 - origin
        sentences = between - origin
        cosines[prefix + "between"] = _cosine(mean, sentences)
        cosines[prefix + "random"] = _cosine(mean, np.roll(sentences, 1, 0))
    return cosines


def _cosine(rows, others):
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(others, axis=1)
    products = np.sum(rows * others, axis=1)
    return float(np.mean(products / np.maximum(lengths, 1e-12)))
