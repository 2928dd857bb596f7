"""How much of images repeats every two or four pixels."""

import numpy as np

# ITU-R BT.601.
_LUMINANCE = np.array([0.299, 0.587, 0.114])
_SMALLEST_SIDE = 16
_IMAGES_AT_A_TIME = 64


def grain(images):
    """Measures the grain that strided layers leave in generated images.

    Layers that double the size of their inputs can leave patterns that repeat
    every two or four pixels, such as checkerboards. Returned is the share of
    the spectral energy of the luminance at the frequencies of such patterns:
    all multiples of a quarter of the sampling rate along either axis, except
    that of the mean.

    Real images have some energy there too: what counts is the ratio of the
    grain of generated images to that of real images of the same size, which
    is 1 without such patterns and below 1 for blurred images.

    The mean of each image is taken away, and a Hann window keeps the edges of
    the image, which do not fit together, from counting as high frequencies.
    The window spreads a frequency to the next ones, which are included.

    Args:
        images: uint8 array of shape `(num_images, height, width, 3)`. Both
            sides are multiples of 4 and at least 16.

    Returns:
        Mean over the images of the share of the energy, float in [0, 1]. An
        image of one color has none: 0.

    Raises:
        ValueError: there are no images, or they are not of such a shape.

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
        or min(images.shape[1:3]) < _SMALLEST_SIDE
        or any(side % 4 for side in images.shape[1:3])
    ):
        raise ValueError(
            "`images` must be uint8 of shape (num_images, height, width, 3), "
            "of one image at least, with sides that are multiples of 4 and at "
            f"least {_SMALLEST_SIDE}. Received: {images.dtype} of shape "
            f"{images.shape}. Crop the images."
        )
    height, width = images.shape[1:3]
    window = _hann(height)[:, None] * _hann(width)
    repeats = _repeats(height)[:, None] & _repeats(width)
    # These are the mean and what varies slowly.
    repeats &= ~(_near_zero(height)[:, None] & _near_zero(width))
    shares = []
    for start in range(0, len(images), _IMAGES_AT_A_TIME):
        luminance = images[start : start + _IMAGES_AT_A_TIME] @ _LUMINANCE
        means = np.sum(luminance * window, axis=(1, 2)) / window.sum()
        luminance -= means[:, None, None]
        # The sums that make a mean round, by which one color has some energy.
        luminance[np.abs(luminance) < 1e-6] = 0.0
        energies = np.abs(np.fft.fft2(luminance * window)) ** 2
        totals = energies.sum(axis=(1, 2))
        at_repeats = energies[:, repeats].sum(axis=1)
        shares.append(at_repeats / np.where(totals > 0, totals, 1.0))
    return float(np.mean(np.concatenate(shares)))


def _hann(size):
    """The periodic window, whose spectrum is three values wide."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


def _repeats(size):
    """Where a frequency is within one of those of period 2, 4 or infinity."""
    offsets = np.arange(size) % (size // 4)
    return (offsets <= 1) | (offsets == size // 4 - 1)


def _near_zero(size):
    frequencies = np.arange(size)
    return np.minimum(frequencies, size - frequencies) <= 1
