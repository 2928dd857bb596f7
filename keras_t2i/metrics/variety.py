"""How much images differ from each other."""

import numpy as np

from keras_t2i.metrics.feature_sets import feature_sets
from keras_t2i.metrics.feature_sets import squared_distance_blocks


def diversity(images):
    """Measures how far two of the given pictures lie apart, on average.

    Of pictures drawn from one caption, it is small where a generator ignores
    its noise; of pictures of many captions, where it has collapsed. It counts
    pixels, not what they show, so compare it with that of real pictures.

    Args:
        images: uint8 array of shape `(num_images, height, width, channels)`,
            of at least two images.

    Returns:
        Root mean square difference between two pixels of two of the images,
        in [0, 1], 1 being the difference between black and white.

    Raises:
        ValueError: there are fewer than two images.

    Example:

    >>> black, white = np.zeros((2, 2, 3), "uint8"), np.full((2, 2, 3), 255)
    >>> float(keras_t2i.metrics.diversity(np.stack([black, white])))
    1.0
    """
    images = np.asarray(images)
    if len(images) < 2:
        raise ValueError(
            "`images` must hold at least two images. Received: shape "
            f"{images.shape}"
        )
    # Two independent draws differ by twice the variance; the sample's, since
    # no picture is compared with itself.
    variance = np.var(images / 255.0, axis=0, ddof=1).mean()
    return np.sqrt(2.0 * variance)


def diversity_within_captions(features, caption_ids):
    """Measures how far images of one caption lie apart, relative to others.

    It is the mean distance between the features of two images of one caption,
    divided by that between two images of different captions. It is near 0
    where a generator ignores its noise, and near 1 where it ignores the
    caption.

    Args:
        features: array of shape `(num_images, num_features)`.
        caption_ids: int array of shape `(num_images,)`: what caption each
            image was generated from. At least one caption must have two
            images, and at least two captions must have an image.

    Returns:
        float of at least 0: a ratio of mean Euclidean distances, each over
        all pairs of its kind.

    Raises:
        ValueError: the shapes do not fit, features are not finite, no caption
            has two images, all images are of one caption, or all images of
            different captions have the same features.

    Example:

    >>> features = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> keras_t2i.metrics.diversity_within_captions(features, [7, 7, 2, 2])
    0.1
    """
    (features,) = feature_sets(features=features)
    caption_ids = np.asarray(caption_ids)
    if caption_ids.shape != (len(features),):
        raise ValueError(
            "`caption_ids` must hold one id an image. Received: "
            f"{len(features)} images and ids of shape {caption_ids.shape}"
        )
    captions, places = np.unique(caption_ids, return_inverse=True)
    sizes = np.bincount(places)
    if len(captions) < 2 or sizes.max() < 2:
        raise ValueError(
            "`caption_ids` must hold at least two captions, and two images of "
            f"one of them. Received: {len(captions)} captions of {len(places)} "
            "images. Generate several images from each of several captions."
        )
    # Each pair twice, and the distance 0 of each image to itself.
    within, total = 0.0, 0.0
    for rows, distances in squared_distance_blocks(features, features):
        np.sqrt(distances, out=distances)
        total += distances.sum()
        within += distances[places[rows, None] == places].sum()
    num_within = np.sum(sizes * (sizes - 1))
    num_between = len(features) ** 2 - np.sum(sizes**2)
    between_mean = (total - within) / num_between
    if between_mean == 0:
        raise ValueError(
            "`features` must tell images of different captions apart. "
            f"Received: {len(features)} images with a mean distance of "
            f"{between_mean} between captions. A network that has collapsed "
            "gives such: take an earlier checkpoint."
        )
    return float(within / num_within / between_mean)
