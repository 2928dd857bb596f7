"""How often pictures of blooms show what their captions ask for."""

import dataclasses

from keras_t2i.blooms import content_of_caption
from keras_t2i.blooms import read_bloom


def bloom_attribute_accuracy(images, captions):
    """Reads attributes from pictures and compares them with captions.

    Args:
        images: uint8 array of shape `(num_images, size, size, 3)`.
        captions: list of strings in the words of `blooms`, one an image.

    Returns:
        dict of attribute names to the share, in [0, 1], of the captions
        naming it whose picture shows it.

    Raises:
        ValueError: there is not one caption an image.

    Example:

    >>> bloom = keras_t2i.blooms.bloom_at("test", 0)
    >>> caption = bloom.content.petal_color + " petals"
    >>> keras_t2i.metrics.bloom_attribute_accuracy(bloom.image[None], [caption])
    {'petal_color': 1.0}
    """
    if len(images) != len(captions):
        raise ValueError(
            "`captions` must hold one caption an image. Received: "
            f"{len(images)} images and {len(captions)} captions"
        )
    right, named = {}, {}
    for image, caption in zip(images, captions):
        shown = dataclasses.asdict(read_bloom(image).content)
        for attribute, value in content_of_caption(caption).items():
            named[attribute] = named.get(attribute, 0) + 1
            right[attribute] = right.get(attribute, 0) + (
                shown[attribute] == value
            )
    return {
        attribute: right[attribute] / named[attribute] for attribute in named
    }
