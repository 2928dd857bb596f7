import itertools

import numpy as np
import pytest

from keras_t2i.metrics import diversity
from keras_t2i.metrics import diversity_within_captions
from keras_t2i.metrics import feature_sets


def test_it_is_the_mean_over_all_pairs():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 3), "uint8")
    squares = [
        np.mean((first / 255 - second / 255) ** 2)
        for first, second in itertools.combinations(images, 2)
    ]
    assert diversity(images) == pytest.approx(np.sqrt(np.mean(squares)))


def test_equal_images_have_none():
    assert diversity(np.full((3, 2, 2, 3), 200, "uint8")) == 0


def test_diversity_by_hand():
    # Two images, 51 levels apart: a fifth.
    images = np.stack([np.full((2, 2, 3), value) for value in (100, 151)])
    assert diversity(images) == pytest.approx(0.2)


@pytest.mark.parametrize("num_images", [0, 1])
def test_one_image_has_no_diversity(num_images):
    with pytest.raises(ValueError, match=r"at least two.*Received: shape"):
        diversity(np.zeros((num_images, 2, 2, 3), "uint8"))


def _pair_by_pair(features, caption_ids):
    within, between = [], []
    for i, j in itertools.combinations(range(len(features)), 2):
        distance = np.linalg.norm(features[i] - features[j])
        one_caption = caption_ids[i] == caption_ids[j]
        (within if one_caption else between).append(distance)
    return np.mean(within) / np.mean(between)


def test_within_captions_by_hand():
    features = np.array([[0.0, 0], [3, 4], [0, 12], [0, 12]])
    # Within: 5 and 0. Between: 12, 12, and twice the root of 9 + 64.
    expected = 2.5 / ((12 + 12 + 2 * np.sqrt(73)) / 4)
    measured = diversity_within_captions(features, [4, 4, 1, 1])
    assert measured == pytest.approx(expected)


@pytest.mark.parametrize("values", [1, 100, 10_000])
def test_pair_by_pair(values, monkeypatch):
    monkeypatch.setattr(feature_sets, "_VALUES_AT_A_TIME", values)
    generator = np.random.default_rng(0)
    # Captions of different numbers of images, one of a single one.
    caption_ids = generator.permutation([5] * 6 + [2] * 3 + [9] + [0] * 11)
    features = generator.normal(size=(21, 4)) + caption_ids[:, None]
    expected = _pair_by_pair(features, caption_ids)
    assert expected < 0.9
    measured = diversity_within_captions(features, caption_ids)
    assert measured == pytest.approx(expected)


def test_noise_that_is_ignored():
    # One image a caption, in numbers that round.
    generator = np.random.default_rng(0)
    features = np.repeat(100 + generator.normal(size=(5, 40)), 8, axis=0)
    measured = diversity_within_captions(features, np.repeat(range(5), 8))
    assert measured == pytest.approx(0, abs=1e-6)


def test_captions_that_are_ignored():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(400, 6))
    measured = diversity_within_captions(features, np.arange(400) % 50)
    assert measured == pytest.approx(1, abs=0.03)


def test_units_do_not_count():
    features = np.random.default_rng(0).normal(size=(6, 3))
    ids = [0, 0, 0, 1, 1, 1]
    expected = diversity_within_captions(features, ids)
    scaled = diversity_within_captions(1000 * features, ids)
    assert scaled == pytest.approx(expected)


@pytest.mark.parametrize(
    ("features", "caption_ids", "message"),
    [
        (np.eye(3), [1, 2], r"Received: 3 images and ids of shape \(2,\)"),
        (np.eye(3), [1, 2, 3], "two images.*Received: 3 captions of 3 images"),
        (np.eye(3), [1, 1, 1], "two captions.*Received: 1 captions of 3"),
        (np.ones((3, 2)), [1, 1, 2], "Received: 3 images with a mean.* of 0.0"),
        (np.ones(3), [1, 1, 2], r"`features`.*Received: shape \(3,\)"),
        (np.eye(3) * np.nan, [1, 1, 2], "`features`.*3 of 3 rows"),
    ],
)
def test_what_does_not_fit(features, caption_ids, message):
    with pytest.raises(ValueError, match=message):
        diversity_within_captions(features, caption_ids)
