import dataclasses
import re

import numpy as np
import pytest

from keras_t2i import blooms

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


def test_the_sentence_in_between_says_half_of_each():
    for a, b, between in zip(*blooms.captions_between("test", 200)):
        a, b, between = map(blooms.content_of_caption, (a, b, between))
        assert all(a[name] != b[name] for name in a)
        of_a = [name for name in a if between[name] == a[name]]
        of_b = [name for name in b if between[name] == b[name]]
        assert len(of_a) == len(of_b) == 2


def test_the_words_around_are_the_same():
    def frame(sentence):
        """The sentence without what it names."""
        content = blooms.content_of_caption(sentence)
        words = sentence.replace("an orange", "a orange").split()
        values = {str(value) for value in content.values()}
        numbers = {"three", "four", "five", "six", "eight", "3", "4", "5", "6"}
        shapes = {"round", "rounded", "pointed", "pointy", "narrow", "thin"}
        named = values | numbers | shapes | {"8"}
        return [word for word in words if word not in named]

    for sentences in zip(*blooms.captions_between("test", 200, seed=1)):
        assert len({tuple(frame(sentence)) for sentence in sentences}) == 1


def test_pairs_are_of_the_split_and_of_the_seed():
    names = {
        dataclasses.astuple(content) for content in blooms.contents("test")
    }
    a, b, _ = blooms.captions_between("test", 50)
    for sentence in a + b:
        content = blooms.Content(**blooms.content_of_caption(sentence))
        assert dataclasses.astuple(content) in names
    assert blooms.captions_between("test", 50) == (a, b, _)
    assert blooms.captions_between("test", 50, seed=1)[0] != a
