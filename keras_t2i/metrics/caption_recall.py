"""How often a caption finds its own image."""

import numpy as np

# Of so many captions the scores of all images are in memory.
_CAPTIONS_AT_A_TIME = 1000


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
