"""What embeddings hold, and how well images and texts find each other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_t2i.checks import check_whole_number
from keras_t2i.metrics.distances import feature_sets
from keras_t2i.metrics.distances import unit_rows

# Bounds the scores of all images that are in memory at once.
_CAPTIONS_AT_A_TIME = 1000
# A share of the variance of the features: enough where they are collinear.
_RIDGE_PENALTY = 1e-3


def class_means(
    embeddings: ArrayLike, class_ids: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
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


def zero_shot_accuracy(
    image_embeddings: ArrayLike,
    image_classes: ArrayLike,
    classes: ArrayLike,
    class_texts: ArrayLike,
) -> float:
    """Measures how often an image is most compatible with its own class.

    The class found for an image is the one whose text embedding has the largest
    dot product with the image's. It is zero-shot if the classes are unseen.

    Args:
        image_embeddings: array of shape `(num_images, embedding_dim)`.
        image_classes: int array of shape `(num_images,)`, of ids in `classes`.
        classes: int array of shape `(num_classes,)`.
        class_texts: array of shape `(num_classes, embedding_dim)`. The mean
            over the embeddings of all captions of all images of each class.

    Returns:
        Share of the images, in [0, 1].

    Raises:
        ValueError: the shapes do not fit, or embeddings are not finite.

    Example:

    >>> images = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]])
    >>> accuracy = keras_t2i.metrics.zero_shot_accuracy(
    ...     images, [4, 9, 9], classes=[4, 9], class_texts=np.eye(2)
    ... )
    >>> round(accuracy, 3)
    0.667

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), section 5.
    """
    images, texts = feature_sets(
        image_embeddings=image_embeddings, class_texts=class_texts
    )
    image_classes = _one_per_row(image_classes, images, "image_classes")
    classes = _one_per_row(classes, texts, "classes")
    scores = images @ texts.T
    found = classes[scores.argmax(axis=1)]
    return float(np.mean(found == image_classes))


def retrieval_precision(
    image_embeddings: ArrayLike,
    image_classes: ArrayLike,
    classes: ArrayLike,
    class_texts: ArrayLike,
    k: int = 50,
) -> float:
    """Measures the precision of the first `k` images that texts find.

    For each class, all images are ranked by the dot product with its text
    embedding. The share of its own images among the first `k` is averaged over
    the classes. The highest possible value is the mean of `min(1, size / k)`
    over the classes, below 1 if one has a `size` of fewer than `k` images.

    Args:
        image_embeddings: array of shape `(num_images, embedding_dim)`.
        image_classes: int array of shape `(num_images,)`, of ids in `classes`.
        classes: int array of shape `(num_classes,)`.
        class_texts: array of shape `(num_classes, embedding_dim)`. The mean
            over the embeddings of all captions of all images of each class.
        k: int. Defaults to `50`, as published.

    Returns:
        float in [0, 1].

    Raises:
        ValueError: the shapes do not fit, embeddings are not finite, or `k` is
            no whole number of at least 1.

    Example:

    >>> images = np.array([[3.0, 0.0], [2.0, 1.0], [1.0, 2.0]])
    >>> keras_t2i.metrics.retrieval_precision(
    ...     images, [4, 9, 9], classes=[4, 9], class_texts=np.eye(2), k=2
    ... )
    0.75

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), section 5.
    """
    check_whole_number(k, "k", at_least=1)
    images, texts = feature_sets(
        image_embeddings=image_embeddings, class_texts=class_texts
    )
    image_classes = _one_per_row(image_classes, images, "image_classes")
    classes = _one_per_row(classes, texts, "classes")
    scores = texts @ images.T
    first = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = image_classes[first]
    num_own = np.sum(found == classes[:, None])
    return float(num_own / (k * len(found)))


def caption_recall(
    image_embeddings: ArrayLike,
    caption_embeddings: ArrayLike,
    image_of_caption: ArrayLike,
    ks: Sequence[int],
) -> dict[int, float]:
    """Measures how often a caption's own image is among the first it finds.

    For each caption, all images are ranked by their dot product with it. Ties
    and NaN count against the own image.

    Args:
        image_embeddings: array of shape `(num_images, embedding_dim)`.
        caption_embeddings: array of shape `(num_captions, embedding_dim)`.
        image_of_caption: int array of shape `(num_captions,)`. Each caption's
            own image, as a row of `image_embeddings`.
        ks: ints. How many images count as the first.

    Returns:
        dict of each `k` to the share of the captions, in [0, 1].

    Example:

    >>> captions = np.array([[1.0, 0.2], [0.4, 0.6], [0.9, 0.0]])
    >>> recall = keras_t2i.metrics.caption_recall(
    ...     np.eye(2), captions, [0, 0, 0], ks=(1, 2)
    ... )
    >>> {k: round(value, 3) for k, value in recall.items()}
    {1: 0.667, 2: 1.0}
    """
    # Products of small types would overflow.
    images, captions = (
        np.asarray(rows, np.float64)
        for rows in (image_embeddings, caption_embeddings)
    )
    own_images = _one_per_row(image_of_caption, captions, "image_of_caption")
    own_images = own_images[:, None]
    ranks = np.empty(len(captions), int)
    for start in range(0, len(captions), _CAPTIONS_AT_A_TIME):
        rows = slice(start, start + _CAPTIONS_AT_A_TIME)
        scores = captions[rows] @ images.T
        own = np.take_along_axis(scores, own_images[rows], axis=1)
        # Not `scores >= own`, which would rank NaN first.
        ranks[rows] = np.sum(~(scores < own), axis=1)
    return {k: float(np.mean(ranks <= k)) for k in ks}


def r_precision(
    image_embeddings: ArrayLike,
    text_embeddings: ArrayLike,
    class_ids: ArrayLike,
    num_others: int = 99,
    seed: int = 0,
    caption_of_image: ArrayLike | None = None,
) -> float:
    """Measures how often generated images match their own captions best.

    The own caption of each image competes with captions of other classes,
    sampled without replacement. An image counts if the cosine of its embedding
    with that of its own caption is larger than with all others; a tie counts
    against it.

    An image encoder that the generator was trained with makes the measure too
    large: take another one.

    Args:
        image_embeddings: array of shape `(num_images, embedding_dim)`.
        text_embeddings: array of shape `(num_captions, embedding_dim)`. The
            captions that images were generated from, once each.
        class_ids: int array of shape `(num_captions,)`: their classes.
        num_others: int, at least 1. Defaults to `99`, as published: chance is
            then 0.01.
        seed: int, for the choice of the other captions. Defaults to `0`.
        caption_of_image: int array of shape `(num_images,)`. Each image's own
            caption, as a row of `text_embeddings`. Defaults to `None`: one
            image per caption, in the same order.

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
    if caption_of_image is None:
        if len(images) != len(texts):
            raise ValueError(
                "`text_embeddings` must hold one row per image, unless "
                f"`caption_of_image` is given. Received: {len(images)} images "
                f"and {len(texts)} texts"
            )
        caption_of_image = np.arange(len(images))
    class_ids = _one_per_row(class_ids, texts, "class_ids")
    captions = _one_per_row(caption_of_image, images, "caption_of_image")
    classes, places = np.unique(class_ids, return_inverse=True)
    sizes = np.bincount(places)
    fewest = len(texts) - sizes.max()
    if fewest < num_others:
        raise ValueError(
            f"`text_embeddings` must hold {num_others} texts of other "
            f"classes for each image. Received: {fewest} for the images of "
            f"class {classes[sizes.argmax()]}. Take more "
            "images, or a smaller `num_others`."
        )
    images, texts = unit_rows(images), unit_rows(texts)
    generator = np.random.default_rng(seed)
    # In this order, each class is a range.
    order = np.argsort(places, kind="stable")
    starts = np.cumsum(sizes) - sizes
    num_first = 0
    for image, own in zip(images, captions):
        place = places[own]
        others = generator.choice(
            len(texts) - sizes[place], int(num_others), replace=False
        )
        # Skip the image's own class.
        others += np.where(others >= starts[place], sizes[place], 0)
        candidates = np.concatenate([texts[own][None], texts[order[others]]])
        # In a matrix product, equal rows can give unequal cosines.
        cosines = np.sum(candidates * image, axis=1)
        num_first += cosines[0] > cosines[1:].max()
    return float(num_first / len(images))


def linear_probe_accuracy(
    embeddings: ArrayLike,
    labels: ArrayLike,
    test_embeddings: ArrayLike,
    test_labels: ArrayLike,
) -> float:
    """Fits a linear classifier on embeddings and measures it on others.

    The classifier is a ridge regression with one column per label; it needs no
    settings and no random numbers. All embeddings are standardized by the mean
    and deviation of those it is fitted on.

    Args:
        embeddings: array of shape `(num_rows, embedding_dim)`. To fit on.
        labels: array of shape `(num_rows,)`.
        test_embeddings: array of shape `(num_test_rows, embedding_dim)`.
        test_labels: array of shape `(num_test_rows,)`.

    Returns:
        Share of the test rows, in [0, 1].

    Raises:
        ValueError: the shapes do not fit, or embeddings are not finite.

    Example:

    >>> embeddings = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    >>> labels = ["small", "small", "large", "large"]
    >>> keras_t2i.metrics.linear_probe_accuracy(
    ...     embeddings, labels, [[0.2, 5.0], [2.7, 5.0]], ["small", "large"]
    ... )
    1.0
    """
    train, test = feature_sets(
        embeddings=embeddings, test_embeddings=test_embeddings
    )
    labels = _one_per_row(labels, train, "labels")
    test_labels = _one_per_row(test_labels, test, "test_labels")
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation[deviation == 0] = 1.0
    features = (train - mean) / deviation
    test_features = (test - mean) / deviation
    known, places = np.unique(labels, return_inverse=True)
    targets = np.eye(len(known))[places]
    share = targets.mean(axis=0)
    squares = features.T @ features / len(features)
    weights = np.linalg.solve(
        squares + _RIDGE_PENALTY * np.eye(len(squares)),
        features.T @ (targets - share) / len(features),
    )
    found = known[(test_features @ weights + share).argmax(axis=1)]
    return float(np.mean(found == test_labels))


def _one_per_row(values: ArrayLike, rows: np.ndarray, name: str) -> np.ndarray:
    """Returns values as an array; raises `ValueError` unless each row has one.

    NumPy would compare a column, or a single value, with all rows.
    """
    values = np.asarray(values)
    if values.shape != (len(rows),):
        raise ValueError(
            f"`{name}` must hold one value for each of {len(rows)} rows. "
            f"Received: an array of shape {values.shape}"
        )
    return values


def interpolation_premise(
    embeddings_a: ArrayLike,
    embeddings_b: ArrayLike,
    embeddings_between: ArrayLike,
) -> dict[str, float]:
    """Measures whether a mean of two text embeddings stands for a text between.

    GAN-INT generates from the mean of the embeddings of two captions A and B.
    `between` is the cosine of that mean with the embedding of a caption that
    says half of A and half of B. `random` is its cosine with such a caption of
    another pair.

    Embeddings of all captions may have much in common. The centered cosines are
    taken after the mean of all embeddings of A and B is subtracted.

    Args:
        embeddings_a: array of shape `(num_pairs, embedding_dim)`, of at least
            two pairs.
        embeddings_b: array of the same shape.
        embeddings_between: array of the same shape.

    Returns:
        dict of the mean cosines: `between`, `random`, `centered_between` and
        `centered_random`.

    Raises:
        ValueError: there are fewer than two pairs, the shapes do not fit, or
            embeddings are not finite.

    Example:

    >>> a, b = np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([[0.0, 2.0]] * 2)
    >>> cosines = keras_t2i.metrics.interpolation_premise(a, b, (a + b) / 2)
    >>> round(cosines["between"], 3), round(cosines["random"], 3)
    (1.0, 0.707)

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 4.3.
    """
    a, b, between = feature_sets(
        embeddings_a=embeddings_a,
        embeddings_b=embeddings_b,
        embeddings_between=embeddings_between,
    )
    if len(a) < 2 or not len(a) == len(b) == len(between):
        raise ValueError(
            "The three arrays must hold one row per pair, of at least two "
            f"pairs. Received: {len(a)}, {len(b)} and {len(between)} rows"
        )
    center = np.concatenate([a, b]).mean(axis=0)
    cosines = {}
    for prefix, origin in (("", 0.0), ("centered_", center)):
        mean = (a + b) / 2 - origin
        halves = between - origin
        cosines[prefix + "between"] = _mean_cosine(mean, halves)
        cosines[prefix + "random"] = _mean_cosine(mean, np.roll(halves, 1, 0))
    return cosines


def _mean_cosine(rows: np.ndarray, others: np.ndarray) -> float:
    cosines = np.sum(unit_rows(rows) * unit_rows(others), axis=1)
    return float(np.mean(cosines))
