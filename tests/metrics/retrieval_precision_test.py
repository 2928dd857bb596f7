import numpy as np
import pytest

from keras_t2i.metrics import retrieval_precision

# Along the first axis the images rank 0, 1, 2, 3; along the second 3, 2, 1, 0.
IMAGES = np.array([[4.0, 0], [3, 1], [2, 2], [1, 3]])
CLASSES = [2, 6]


@pytest.mark.parametrize(
    ("image_classes", "k", "expected"),
    [
        ([2, 2, 6, 6], 2, 1.0),
        # Class 2 finds images 0 and 1, of which one is its own; class 6 finds
        # 3 and 2, both its own.
        ([2, 6, 6, 6], 2, 0.75),
        ([2, 6, 6, 6], 1, 1.0),
        ([6, 6, 2, 2], 2, 0.0),
        # A class of one image finds it and three others.
        ([2, 6, 6, 6], 4, (1 / 4 + 3 / 4) / 2),
    ],
)
def test_by_hand(image_classes, k, expected):
    precision = retrieval_precision(
        IMAGES, image_classes, CLASSES, np.eye(2), k=k
    )
    assert precision == pytest.approx(expected)


def test_fifty_is_published():
    images = -np.arange(60.0)[:, None]
    precision = retrieval_precision(
        images, [0] * 25 + [1] * 35, [0, 1], [[1], [-1]]
    )
    # The first fifty, with all 25 of one class; from the end, with all 35 of
    # the other.
    assert precision == pytest.approx((25 / 50 + 35 / 50) / 2)
