import dataclasses

import numpy as np
import pytest

from keras_t2i.blooms import bloom_at
from keras_t2i.blooms import read_bloom
from keras_t2i.metrics import bloom_attribute_accuracy

_ATTRIBUTES = ("petal_color", "center_color", "petal_count", "petal_shape")


@pytest.fixture(scope="module")
def blooms():
    """Flowers whose attributes can all be read from their pixels."""
    blooms = [bloom_at("test", index) for index in range(40)]
    readable = [b for b in blooms if read_bloom(b.image).content == b.content]
    assert len(readable) >= 20
    return readable


def _accuracy(blooms, captions):
    images = np.stack([bloom.image for bloom in blooms])
    return bloom_attribute_accuracy(images, captions)


def test_each_picture_shows_its_own_captions(blooms):
    captions = [bloom.captions[i % 10] for i, bloom in enumerate(blooms)]
    accuracy = _accuracy(blooms, captions)
    assert set(accuracy) <= set(_ATTRIBUTES)
    assert set(accuracy.values()) == {1.0}


def test_share_of_the_captions_that_name_the_attribute(blooms):
    color = blooms[0].content.petal_color
    same = [b for b in blooms if b.content.petal_color == color]
    other = next(b for b in blooms if b.content.petal_color != color)
    chosen = [same[0], other, other, other]
    center = f"a {other.content.center_color} center"
    captions = [f"{color} petals", f"{color} petals", "a flower", center]
    accuracy = _accuracy(chosen, captions)
    # The color is named twice and shown once; the center is named once.
    assert accuracy == {"petal_color": 0.5, "center_color": 1.0}


def test_nothing_named(blooms):
    assert _accuracy(blooms[:2], ["a flower", "some picture"]) == {}


def test_wrong_for_each_attribute(blooms):
    def all_different(a, b):
        a, b = dataclasses.asdict(a.content), dataclasses.asdict(b.content)
        return all(a[name] != b[name] for name in _ATTRIBUTES)

    one, two = next(
        (a, b) for a in blooms for b in blooms if all_different(a, b)
    )
    accuracy = _accuracy([one] * 10, list(two.captions))
    assert set(accuracy) == set(_ATTRIBUTES)
    assert set(accuracy.values()) == {0.0}


def test_not_one_caption_an_image(blooms):
    with pytest.raises(ValueError, match="Received: 2 images and 1 captions"):
        _accuracy(blooms[:2], ["a flower"])


def test_images_that_are_none():
    with pytest.raises(ValueError):
        bloom_attribute_accuracy(np.zeros((1, 64, 64)), ["red petals"])
