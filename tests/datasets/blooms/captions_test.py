import dataclasses
import re

import numpy as np
import pytest

from keras_t2i.datasets import blooms

STYLE_WORDS = {
    *blooms.BACKGROUNDS,
    *("background", "left", "right", "top", "bottom", "big", "large", "small"),
    *("bright", "dark", "light", "turned", "rotated", "texture"),
}


@pytest.fixture(scope="module")
def captioned():
    rng = np.random.default_rng(0)
    contents = [blooms.content_of_class(i) for i in range(0, 600, 2)]
    return [(c, blooms.bloom_captions(c, rng)) for c in contents]


def test_ten_different_plain_captions(captioned):
    for _, captions in captioned:
        assert len(captions) == len(set(captions)) == 10
        for caption in captions:
            assert re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)*", caption)
            assert len(caption) < 150


def test_captions_never_name_the_style(captioned):
    for _, captions in captioned:
        for caption in captions:
            assert not STYLE_WORDS & set(caption.split())


def test_captions_say_nothing_but_the_truth(captioned):
    for content, captions in captioned:
        truth = dataclasses.asdict(content)
        for caption in captions:
            named = blooms.content_of_caption(caption)
            assert named
            assert named.items() <= truth.items()


def test_how_many_captions_name_each_attribute(captioned):
    for _, captions in captioned:
        named = [blooms.content_of_caption(caption) for caption in captions]
        counts = {
            field: sum(field in attributes for attributes in named)
            for field in ("petal_color", "petal_count", "petal_shape")
        }
        assert counts == {"petal_color": 9, "petal_count": 6, "petal_shape": 7}
        assert sum("center_color" in attributes for attributes in named) == 7


def test_words_and_digits_and_synonyms_all_occur(captioned):
    words = {
        word
        for _, captions in captioned
        for caption in captions
        for word in caption.split()
    }
    expected = "three 3 eight 8 round rounded pointy thin bloom middle an with"
    assert set(expected.split()) <= words


def test_captions_depend_on_the_generator_alone():
    content = blooms.Content("pink", "brown", 5, "narrow")
    first, again, other = (
        blooms.bloom_captions(content, np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a photo of a cat", {}),
        ("An orange flower", {"petal_color": "orange"}),
        ("a flower with a white middle", {"center_color": "white"}),
        (
            "this white flower has a center that is yellow",
            {"petal_color": "white", "center_color": "yellow"},
        ),
        (
            "a yellow center surrounded by 8 thin yellow petals",
            {
                "petal_color": "yellow",
                "petal_count": 8,
                "petal_shape": "narrow",
                "center_color": "yellow",
            },
        ),
    ],
)
def test_what_a_caption_names(caption, expected):
    assert blooms.content_of_caption(caption) == expected
