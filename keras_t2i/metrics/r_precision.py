"""How often an image finds its own caption among captions of other classes."""

import numpy as np

from keras_t2i.metrics.feature_sets import feature_sets
from keras_t2i.metrics.whole_number import check_whole_number


def r_precision(
    image_embeddings, text_embeddings, class_ids, num_others=99, seed=0
):
    """Measures how often generated images match their own captions best.

    The own caption of each image competes with captions of other classes,
    which are chosen at random without replacement. An image counts where the
    cosine of its embedding with that of the own caption is larger than with
    all others; a tie counts against it.

    An image encoder that the generator was trained with makes the measure too
    large: take another one.

    Args:
        image_embeddings: array of shape `(num_images, embedding_dim)`.
        text_embeddings: array of the same shape. Row `i` is the caption that
            image `i` was generated from.
        class_ids: int array of shape `(num_images,)`: the class of both.
        num_others: int, at least 1. Defaults to `99`, as published, by which
            chance is 0.01.
        seed: int. Of the choice of the other captions. Defaults to `0`.

    Returns:
        Share of the images, float in [0, 1].

    Raises:
        ValueError: the shapes do not fit, embeddings are not finite, or there
            are fewer than `num_others` captions of other classes.

    Example:

    >>> texts = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> images = np.array([[2.0, 1.0], [1.0, 3.0], [1.0, 0.0]])
    >>> precision = keras_t2i.metrics.r_precision(
    ...     images, texts, class_ids=[4, 5, 6], num_others=2
    ... )
    >>> round(precision, 3)
    0.667

    Reference:
        - [Xu et al., 2018](https://arxiv.org/abs/1711.10485), section 4.
    """
    check_whole_number(num_others, "num_others", at_least=1)
    images, texts = feature_sets(
        image_embeddings=image_embeddings, text_embeddings=text_embeddings
    )
    class_ids = np.asarray(class_ids)
    if len(images) != len(texts) or class_ids.shape != (len(images),):
        raise ValueError(
            "`text_embeddings` and `class_ids` must hold one row an image. "
            f"Received: {len(images)} images, {len(texts)} texts and classes "
            f"of shape {class_ids.shape}"
        )
    classes, places = np.unique(class_ids, return_inverse=True)
    sizes = np.bincount(places)
    fewest = len(texts) - sizes.max()
    if fewest < num_others:
        raise ValueError(
            f"`text_embeddings` must hold {num_others} texts of other classes "
            f"for each image, as `num_others` says. Received: {fewest} for "
            f"the images of class {classes[sizes.argmax()]}. Take more "
            "images, or a smaller `num_others`."
        )
    images, texts = _unit_rows(images), _unit_rows(texts)
    generator = np.random.default_rng(seed)
    # In this order, a class is a range.
    order = np.argsort(places, kind="stable")
    starts = np.cumsum(sizes) - sizes
    num_first = 0
    for image, own, place in zip(images, texts, places):
        others = generator.choice(
            len(texts) - sizes[place], int(num_others), replace=False
        )
        # Past the image's own class.
        others += np.where(others >= starts[place], sizes[place], 0)
        candidates = np.concatenate([own[None], texts[order[others]]])
        # Not a matrix product, in which equal rows can give unequal cosines.
        cosines = np.sum(candidates * image, axis=1)
        num_first += cosines[0] > cosines[1:].max()
    return float(num_first / len(images))


def _unit_rows(rows):
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(norms, 1e-12)
