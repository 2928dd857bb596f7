"""How much pictures differ from each other."""

import numpy as np


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
