"""Pictures one after the other."""

import io

from PIL import Image

from keras_t2i.plots.grids import checked_pictures


def animated_gif(images, seconds_per_picture=0.125):
    """Encodes pictures as an animated GIF that starts over and over again.

    A GIF has 256 colors a picture: each pixel gets the closest of them.

    Args:
        images: uint8 array of shape `(steps, height, width, 3)`, such as a row
            of what `TextToImageGAN.interpolate` returns.
        seconds_per_picture: float. Defaults to `0.125`.

    Returns:
        bytes. A GIF file.

    Raises:
        ValueError: there is no picture, or the shape does not fit.

    Example:

    >>> images = np.zeros((8, 32, 32, 3), "uint8")
    >>> keras_t2i.plots.animated_gif(images)[:6]
    b'GIF89a'
    """
    images = checked_pictures(images, "(steps, height, width, 3)")
    if not len(images):
        raise ValueError("`images` must hold at least one. Received: none")
    first, *others = [
        Image.fromarray(image).quantize(dither=Image.Dither.NONE)
        for image in images
    ]
    file = io.BytesIO()
    first.save(
        file,
        format="GIF",
        save_all=True,
        append_images=others,
        duration=round(1000 * seconds_per_picture),
        loop=0,
    )
    return file.getvalue()
