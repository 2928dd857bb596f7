"""One example of the procedural flowers."""

import dataclasses

import numpy as np

from keras_t2i.datasets.blooms.attributes import SPLITS
from keras_t2i.datasets.blooms.captions import bloom_captions
from keras_t2i.datasets.blooms.checks import check_not_negative
from keras_t2i.datasets.blooms.content import Content
from keras_t2i.datasets.blooms.content import class_id
from keras_t2i.datasets.blooms.content import contents
from keras_t2i.datasets.blooms.drawing import draw_bloom
from keras_t2i.datasets.blooms.style import Style
from keras_t2i.datasets.blooms.style import random_style


@dataclasses.dataclass(frozen=True)
class Bloom:
    """A picture of a flower with its captions, and the truth about both.

    Args:
        image: array of shape `(image_size, image_size, 3)`, uint8.
        captions: tuple of ten strings.
        content: `Content`. What the captions name.
        style: `Style`. What they do not.
        class_id: int. Index into `CLASS_NAMES`.
    """

    image: np.ndarray
    captions: tuple[str, ...]
    content: Content
    style: Style
    class_id: int


def bloom_at(
    split: str, index: int, *, seed: int = 0, image_size: int = 64
) -> Bloom:
    """Draws one example of a split, whichever were drawn before.

    Content, style and captions depend on `split`, `index` and `seed` alone:
    another `image_size` gives the same flower, finer or coarser. The classes
    of a split are drawn uniformly.

    Args:
        split: string. `"train"`, `"val"` or `"test"`.
        index: int. Not negative, without an upper bound.
        seed: int. Not negative. Another seed gives another data set with the
            same classes in each split. Defaults to `0`.
        image_size: int. Side in pixels, from 32 to 256. Defaults to `64`.

    Returns:
        `Bloom`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> from keras_t2i.datasets import blooms
    >>> bloom = blooms.bloom_at("train", 0)
    >>> bloom.image.shape, len(bloom.captions)
    ((64, 64, 3), 10)
    """
    check_not_negative("index", index)
    check_not_negative("seed", seed)
    candidates = contents(split)
    key = np.random.SeedSequence([seed, SPLITS.index(split), index])
    rng = np.random.Generator(np.random.Philox(key))
    content = candidates[rng.integers(len(candidates))]
    style = random_style(rng)
    captions = bloom_captions(content, rng)
    image = draw_bloom(content, style, image_size, int(rng.integers(2**32)))
    return Bloom(image, captions, content, style, class_id(content))
