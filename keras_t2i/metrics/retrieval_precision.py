"""How many of the images that a class' texts find are of the class."""

import numpy as np


def retrieval_precision(
    image_embeddings, image_classes, classes, class_texts, k=50
):
    """Measures the precision of the first `k` images that texts find.

    For each class all images are ranked by the dot product with the class'
    text embedding; the share of its own images among the first `k` is averaged
    over the classes. A class of fewer than `k` images can not reach 1.

    Args:
        image_embeddings: array of shape `(num_images, embedding_dim)`.
        image_classes: int array of shape `(num_images,)`, of ids in `classes`.
        classes: int array of shape `(num_classes,)`.
        class_texts: array of shape `(num_classes, embedding_dim)`. The mean
            over the embeddings of all captions of all images of each class.
        k: int. Defaults to `50`, as published.

    Returns:
        float in [0, 1].

    Example:

    >>> images = np.array([[3.0, 0.0], [2.0, 1.0], [1.0, 2.0]])
    >>> float(keras_t2i.metrics.retrieval_precision(
    ...     images, [4, 9, 9], classes=[4, 9], class_texts=np.eye(2), k=2
    ... ))
    0.75

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), section 5.
    """
    scores = np.asarray(class_texts) @ np.asarray(image_embeddings).T
    first = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = np.asarray(image_classes)[first]
    return np.sum(found == np.asarray(classes)[:, None]) / (k * len(classes))
