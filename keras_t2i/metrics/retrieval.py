"""How well images and texts find each other by their embeddings."""

import numpy as np

from keras_t2i.checks import check_whole_number
from keras_t2i.metrics.feature_sets import feature_sets
from keras_t2i.metrics.feature_sets import unit_rows

# Of so many captions the scores of all images are in memory.
_CAPTIONS_AT_A_TIME = 1000


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


def zero_shot_accuracy(image_embeddings, image_classes, classes, class_texts):
    """Measures how often an image is most compatible with its own class.

    The class of an image is that whose text embedding has the largest dot
    product with the image's. Zero-shot if the classes were never trained on.

    Args:
        image_embeddings: array of shape `(num_images, embedding_dim)`.
        image_classes: int array of shape `(num_images,)`, of ids in `classes`.
        classes: int array of shape `(num_classes,)`.
        class_texts: array of shape `(num_classes, embedding_dim)`. The mean
            over the embeddings of all captions of all images of each class.

    Returns:
        Share of the images, in [0, 1].

    Example:

    >>> images = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]])
    >>> accuracy = keras_t2i.metrics.zero_shot_accuracy(
    ...     images, [4, 9, 9], classes=[4, 9], class_texts=np.eye(2)
    ... )
    >>> round(float(accuracy), 3)
    0.667

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), section 5.
    """
    scores = np.asarray(image_embeddings) @ np.asarray(class_texts).T
    found = np.asarray(classes)[scores.argmax(axis=1)]
    return np.mean(found == np.asarray(image_classes))


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


def caption_recall(image_embeddings, caption_embeddings, image_of_caption, ks):
    """Measures how often a caption's own image is among the first it finds.

    For each caption all images are ranked by their dot product with it. An
    image as compatible as the own one counts as before it, and so does one that
    NaN keeps from being compared.

    Args:
        image_embeddings: array of shape `(num_images, embedding_dim)`.
        caption_embeddings: array of shape `(num_captions, embedding_dim)`.
        image_of_caption: int array of shape `(num_captions,)`. Each caption's
            own image, as a row of `image_embeddings`.
        ks: tuple of ints. How many images to look at.

    Returns:
        dict of each `k` to the share of the captions, in [0, 1].

    Example:

    >>> captions = np.array([[1.0, 0.2], [0.4, 0.6], [0.9, 0.0]])
    >>> recall = keras_t2i.metrics.caption_recall(
    ...     np.eye(2), captions, [0, 0, 0], ks=(1, 2)
    ... )
    >>> {k: round(float(value), 3) for k, value in recall.items()}
    {1: 0.667, 2: 1.0}
    """
    image_embeddings = np.asarray(image_embeddings)
    caption_embeddings = np.asarray(caption_embeddings)
    image_of_caption = np.asarray(image_of_caption)
    ranks = []
    for start in range(0, len(caption_embeddings), _CAPTIONS_AT_A_TIME):
        rows = slice(start, start + _CAPTIONS_AT_A_TIME)
        scores = caption_embeddings[rows] @ image_embeddings.T
        own = np.take_along_axis(scores, image_of_caption[rows, None], axis=1)
        # Not `scores >= own`, by which NaN would come before all others.
        ranks.append(np.sum(~(scores < own), axis=1))
    ranks = np.concatenate(ranks)
    return {k: np.mean(ranks <= k) for k in ks}


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
    images, texts = unit_rows(images), unit_rows(texts)
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
