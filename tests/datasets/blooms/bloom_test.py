import numpy as np
import pytest

from keras_t2i.datasets import blooms


def test_the_same_index_gives_the_same_bloom():
    first, again = (blooms.bloom_at("train", 7, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    assert first.captions == again.captions
    assert (first.content, first.style) == (again.content, again.style)


@pytest.mark.parametrize(
    "other",
    [
        {"split": "val", "index": 7, "seed": 3},
        {"split": "train", "index": 8, "seed": 3},
        {"split": "train", "index": 7, "seed": 4},
    ],
)
def test_another_split_index_or_seed_gives_another_bloom(other):
    bloom = blooms.bloom_at("train", 7, seed=3)
    assert blooms.bloom_at(**other).style != bloom.style


def test_the_image_size_changes_nothing_else():
    small = blooms.bloom_at("test", 5, image_size=32)
    large = blooms.bloom_at("test", 5, image_size=96)
    assert small.image.shape == (32, 32, 3)
    assert large.image.shape == (96, 96, 3)
    assert small.captions == large.captions
    assert (small.content, small.style) == (large.content, large.style)


def test_no_two_pictures_are_alike():
    pictures = np.stack(
        [blooms.bloom_at("train", i, image_size=32).image for i in range(300)]
    )
    flat = pictures.reshape(300, -1).astype(np.float32)
    squared = np.sum(flat**2, axis=1)
    distances = squared[:, None] + squared - 2 * flat @ flat.T
    np.fill_diagonal(distances, np.inf)
    # Root mean square over the values of a picture, in gray levels.
    assert np.sqrt(distances.min() / flat.shape[1]) > 5


@pytest.mark.parametrize("split", blooms.SPLITS)
def test_blooms_come_from_the_classes_of_their_split(split):
    allowed = set(blooms.contents(split))
    for index in range(100):
        bloom = blooms.bloom_at(split, index, image_size=32)
        assert bloom.content in allowed
        assert blooms.CLASS_NAMES[bloom.class_id] == bloom.content.name


def test_the_classes_of_a_split_are_equally_likely():
    ids = [
        blooms.bloom_at("test", i, image_size=32).class_id for i in range(600)
    ]
    counts = np.unique(ids, return_counts=True)[1]
    # Ten each on average; the seed is fixed, so this does not vary.
    assert len(counts) == 60
    assert counts.min() >= 2 and counts.max() <= 22


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("all", 0), "Received: 'all'"),
        (("train", -1), "`index`.*Received: -1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        blooms.bloom_at(*arguments)
    with pytest.raises(ValueError, match="`seed`.*Received: -2"):
        blooms.bloom_at("train", 0, seed=-2)
    with pytest.raises(ValueError, match="Received: 16"):
        blooms.bloom_at("train", 0, image_size=16)
