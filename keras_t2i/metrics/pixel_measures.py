"""Measures of the pixels of images, without a network."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_t2i.blooms import content_of_caption
from keras_t2i.blooms import read_bloom

# ITU-R BT.601.
_LUMINANCE = np.array([0.299, 0.587, 0.114])
_SMALLEST_SIDE = 16
_IMAGES_AT_A_TIME = 64


def has_grain(side: int) -> bool:
    """Tells whether `grain` takes images with a side of so many pixels."""
    return side % 4 == 0 and side >= _SMALLEST_SIDE


def grain(images: np.ndarray) -> float:
    """Measures the grain that strided layers leave in generated images.

    Layers that double the size of their inputs can leave patterns that repeat
    every two or four pixels, such as checkerboards. Grain is the share of the
    spectral energy of the luminance at the frequencies of such patterns: all
    multiples of a quarter of the sampling rate along either axis, except 0.

    Real images have some energy there too. What counts is the ratio of the
    grain of generated images to that of real images of the same size: 1
    without such patterns, less for blurred images.

    The mean of each image is subtracted, and a Hann window keeps opposite
    edges, which do not fit together, from counting as high frequencies. The
    window spreads a frequency to its neighbors, which are included.

    Args:
        images: uint8 array of shape `(num_images, height, width, 3)`. Both
            sides are multiples of 4 and at least 16.

    Returns:
        float in [0, 1], the mean over the images. Images of one color have 0.

    Raises:
        ValueError: there are no images, or they have another shape.

    Example:

    >>> rows, columns = np.indices((16, 16))
    >>> checkerboard = np.where((rows + columns) % 2, 130, 126)
    >>> images = np.repeat(checkerboard[None, ..., None], 3, axis=3)
    >>> round(keras_t2i.metrics.grain(images.astype("uint8")), 6)
    1.0

    Reference:
        - [Odena et al., 2016](https://distill.pub/2016/deconv-checkerboard).
    """
    images = np.asarray(images)
    if (
        images.dtype != np.uint8
        or images.ndim != 4
        or len(images) == 0
        or images.shape[3] != 3
        or not all(map(has_grain, images.shape[1:3]))
    ):
        raise ValueError(
            "`images` must be uint8 of shape (num_images, height, width, 3), "
            "of at least one image, with sides that are multiples of 4 and at "
            f"least {_SMALLEST_SIDE}. Received: {images.dtype} of shape "
            f"{images.shape}. Crop the images."
        )
    height, width = images.shape[1:3]
    # Periodic windows, whose spectrum is three values wide.
    window = np.outer(np.hanning(height + 1)[:-1], np.hanning(width + 1)[:-1])
    repeats = _repeats(height)[:, None] & _repeats(width)
    # These are the mean and what varies slowly.
    repeats &= ~(_near_zero(height)[:, None] & _near_zero(width))
    shares = []
    for start in range(0, len(images), _IMAGES_AT_A_TIME):
        luminance = images[start : start + _IMAGES_AT_A_TIME] @ _LUMINANCE
        means = np.sum(luminance * window, axis=(1, 2)) / window.sum()
        luminance -= means[:, None, None]
        # Means are rounded, which would give a single color some energy.
        luminance[np.abs(luminance) < 1e-6] = 0.0
        energies = np.abs(np.fft.fft2(luminance * window)) ** 2
        totals = energies.sum(axis=(1, 2))
        at_repeats = energies[:, repeats].sum(axis=1)
        shares.append(at_repeats / np.where(totals > 0, totals, 1.0))
    return float(np.mean(np.concatenate(shares)))


def _repeats(size: int) -> np.ndarray:
    """Whether a frequency is within 1 of those of period 2, 4 or infinity."""
    offsets = np.arange(size) % (size // 4)
    return (offsets <= 1) | (offsets == size // 4 - 1)


def _near_zero(size: int) -> np.ndarray:
    frequencies = np.arange(size)
    return np.minimum(frequencies, size - frequencies) <= 1


def diversity(images: np.ndarray) -> float:
    """Measures how far apart two of the given images are, on average.

    For images of one caption, it is small if the generator ignores its noise;
    for images of many captions, if it has collapsed. It compares pixels and not
    what they show, so compare it with the diversity of real images.

    Args:
        images: uint8 array of shape `(num_images, height, width, channels)`,
            of at least two images.

    Returns:
        Root mean square difference between the pixels of two images, in
        [0, 1]. 1 is the difference between black and white.

    Raises:
        ValueError: there are fewer than two images, or the array is of another
            kind.

    Example:

    >>> black, white = np.zeros((2, 2, 3), "uint8"), np.full((2, 2, 3), 255)
    >>> keras_t2i.metrics.diversity(np.stack([black, white]))
    1.0
    """
    images = np.asarray(images)
    is_whole = np.issubdtype(images.dtype, np.integer)
    fits = images.ndim == 4 and len(images) >= 2 and images.size and is_whole
    if not fits or images.min() < 0 or images.max() > 255:
        raise ValueError(
            "`images` must be uint8 of shape (num_images, height, width, "
            "channels), of at least two images. Received: "
            f"{images.dtype} of shape {images.shape}"
        )
    # Two independent samples differ by twice the variance. It is the sample's
    # (ddof=1), since no image is compared with itself.
    variance = np.var(images / 255.0, axis=0, ddof=1).mean()
    return float(np.sqrt(2.0 * variance))


def background_colors(
    images: np.ndarray, masks: np.ndarray | None = None
) -> np.ndarray:
    """Returns the mean color of the background of each image.

    Args:
        images: uint8 array of shape `(num_images, height, width, 3)`.
        masks: bool array of shape `(num_images, height, width)`, true for
            pixels of the background, at least one in each image. Defaults to
            `None`: the border, a 25th of the shorter side wide and at least
            two pixels.

    Returns:
        float array of shape `(num_images, 3)`, in [0, 255].

    Raises:
        ValueError: the shapes do not fit, or an image has no background.

    Example:

    >>> images = np.full((1, 32, 32, 3), 200, "uint8")
    >>> images[:, 8:24, 8:24] = 0
    >>> keras_t2i.metrics.background_colors(images)
    array([[200., 200., 200.]])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            "`images` must be uint8 of shape (num_images, height, width, 3). "
            f"Received: {images.dtype} of shape {images.shape}"
        )
    if masks is None:
        masks = np.broadcast_to(_border(*images.shape[1:3]), images.shape[:3])
    masks = np.asarray(masks)
    if masks.dtype != bool or masks.shape != images.shape[:3]:
        raise ValueError(
            f"`masks` must be bool of shape {images.shape[:3]}. Received: "
            f"{masks.dtype} of shape {masks.shape}"
        )
    counts = masks.sum(axis=(1, 2))
    if not counts.all():
        raise ValueError(
            "`masks` must leave each image some background. Received: none "
            f"for image {int(np.argmin(counts))}"
        )
    sums = np.sum(images * masks[..., None], axis=(1, 2), dtype=np.float64)
    return sums / counts[:, None]


def _border(height: int, width: int) -> np.ndarray:
    thickness = max(2, round(0.04 * min(height, width)))
    border = np.ones((height, width), bool)
    border[thickness:-thickness, thickness:-thickness] = False
    return border


def bloom_attribute_accuracy(
    images: np.ndarray, captions: Sequence[str]
) -> dict[str, float]:
    """Measures how often images of blooms show what their captions say.

    Args:
        images: uint8 array of shape `(num_images, size, size, 3)`.
        captions: list of strings in the words of `blooms`, one per image.

    Returns:
        dict of attribute names to shares in [0, 1]: of the captions that name
        the attribute, how many have an image that shows it.

    Raises:
        ValueError: there is not one caption per image.

    Example:

    >>> bloom = keras_t2i.blooms.bloom_at("test", 0)
    >>> caption = bloom.content.petal_color + " petals"
    >>> keras_t2i.metrics.bloom_attribute_accuracy(bloom.image[None], [caption])
    {'petal_color': 1.0}
    """
    if len(images) != len(captions):
        raise ValueError(
            "`captions` must hold one caption per image. Received: "
            f"{len(images)} images and {len(captions)} captions"
        )
    hits: dict[str, list[bool]] = {}
    for image, caption in zip(images, captions):
        shown = dataclasses.asdict(read_bloom(image).content)
        for attribute, value in content_of_caption(caption).items():
            hits.setdefault(attribute, []).append(shown[attribute] == value)
    return {name: float(np.mean(values)) for name, values in hits.items()}
