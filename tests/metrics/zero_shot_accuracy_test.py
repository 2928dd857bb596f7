import numpy as np
import pytest

from keras_t2i.metrics import zero_shot_accuracy


def test_accuracy_by_hand():
    # Dot products, so a long text wins where cosines would not: image 2 scores
    # 2 * 3 for class 8 and 4 for class 1.
    images = np.array([[1.0, 0.0], [-1.0, 5.0], [4.0, 2.0], [0.0, -1.0]])
    texts = np.array([[1.0, 0.0], [0.0, 3.0]])
    accuracy = zero_shot_accuracy(images, [1, 8, 8, 1], [1, 8], texts)
    assert accuracy == 1.0
    assert zero_shot_accuracy(images, [8, 8, 1, 1], [1, 8], texts) == 0.5


def test_it_counts_images_not_classes():
    images = np.array([[1.0, 0]] * 9 + [[1.0, 0]])
    accuracy = zero_shot_accuracy(images, [0] * 9 + [1], [0, 1], np.eye(2))
    assert accuracy == pytest.approx(0.9)
