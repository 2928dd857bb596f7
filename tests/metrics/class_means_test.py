import numpy as np

from keras_t2i.metrics import class_means


def test_means_by_hand():
    rows = np.array([[1, 2], [3, 4], [5, 0], [7, 9]], "float32")
    classes, means = class_means(rows, np.array([5, 3, 5, 5]))
    assert classes.tolist() == [3, 5]
    np.testing.assert_allclose(means, [[3, 4], [13 / 3, 11 / 3]])
