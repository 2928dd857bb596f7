import numpy as np
import pytest

from keras_t2i.metrics import caption_recall


def test_by_hand():
    images = np.eye(3)
    captions = np.array(
        [
            [3.0, 2, 1],  # Finds 0, 1, 2.
            [1.0, 2, 3],  # Finds 2, 1, 0.
            [2.0, 3, 1],  # Finds 1, 0, 2.
            [2.0, 3, 1],
        ]
    )
    recall = caption_recall(images, captions, [0, 0, 0, 1], ks=(1, 2, 3))
    assert recall == {1: 0.5, 2: 0.75, 3: 1.0}


def test_embeddings_that_are_all_alike_find_nothing():
    recall = caption_recall(
        np.ones((20, 2)), np.ones((20, 2)), range(20), (10,)
    )
    assert recall == {10: 0.0}


@pytest.mark.parametrize("of", ["images", "captions", "one image"])
def test_nan_finds_nothing(of):
    images, captions = np.eye(20), np.eye(20)
    if of == "captions":
        captions = np.full((20, 20), np.nan)
    else:
        images[slice(None) if of == "images" else 3] = np.nan
    recall = caption_recall(images, captions, range(20), (1, 10))
    # Otherwise each caption's own image is first, and the damaged one second.
    expected = {1: 0.0, 10: 19 / 20} if of == "one image" else {1: 0, 10: 0}
    assert recall == pytest.approx(expected)


def test_more_captions_than_at_a_time():
    generator = np.random.default_rng(0)
    images = generator.normal(size=(30, 4))
    own = generator.integers(30, size=2500)
    captions = images[own] + 0.5 * generator.normal(size=(2500, 4))
    scores = captions @ images.T
    ranks = [np.sum(row > row[i]) for row, i in zip(scores, own)]
    recall = caption_recall(images, captions, own, (5,))
    assert recall[5] == pytest.approx(np.mean(np.array(ranks) < 5))
    assert 0.3 < recall[5] < 1
