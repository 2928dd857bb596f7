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
