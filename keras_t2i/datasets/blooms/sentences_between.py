"""Sentences in between two others, alike in all but what they name."""

import dataclasses

import numpy as np

from keras_t2i.datasets.blooms.captions import bloom_captions
from keras_t2i.datasets.blooms.captions import content_of_caption
from keras_t2i.datasets.blooms.content import Content
from keras_t2i.datasets.blooms.content import contents

_ATTRIBUTES = [field.name for field in dataclasses.fields(Content)]


def sentences_between(
    split: str, num_pairs: int, seed: int = 0
) -> tuple[list[str], list[str], list[str]]:
    """Writes pairs of sentences, and for each one that lies in between.

    The two sentences of a pair name all attributes and differ in each of them;
    the third has half of its attributes from either. All three have the same
    words around them.

    Args:
        split: string. Whose classes the pairs are of.
        num_pairs: int.
        seed: int, at least 0. Defaults to `0`.

    Returns:
        Three lists of strings: first, second, in between.

    Example:

    >>> from keras_t2i.datasets import blooms
    >>> a, b, between = blooms.sentences_between("test", 1)
    >>> for sentence in (a[0], b[0], between[0]):
    ...     print(sorted(blooms.content_of_caption(sentence).items())[:2])
    [('center_color', 'white'), ('petal_color', 'yellow')]
    [('center_color', 'green'), ('petal_color', 'red')]
    [('center_color', 'white'), ('petal_color', 'red')]
    """
    rng = np.random.default_rng(seed)
    candidates = contents(split)
    sentences = [], [], []
    for _ in range(num_pairs):
        a, b = _differing(candidates, rng)
        of_b = rng.permutation(_ATTRIBUTES)[: len(_ATTRIBUTES) // 2]
        between = dataclasses.replace(
            a, **{name: getattr(b, name) for name in of_b}
        )
        words = int(rng.integers(2**32))
        for content, texts in zip((a, b, between), sentences):
            texts.append(_sentence(content, words))
    return sentences


def _differing(candidates, rng):
    while True:
        a, b = (candidates[i] for i in rng.integers(len(candidates), size=2))
        if all(getattr(a, name) != getattr(b, name) for name in _ATTRIBUTES):
            return a, b


def _sentence(content, words):
    """The first caption that names everything, of the same choices of words."""
    captions = bloom_captions(content, np.random.default_rng(words))
    return next(
        caption
        for caption in captions
        if len(content_of_caption(caption)) == len(_ATTRIBUTES)
    )
