import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.augmentation import augment


def _images(num_rows=1, size=4):
    values = np.random.default_rng(0).uniform(
        0.1, 1.0, (num_rows, size, size, 3)
    )
    return values.astype("float32")


def _uniform(*rows):
    return tf.constant(rows, "float32")


def test_shifts_by_hand():
    # At most 1 of 4 pixels: up to 1/3 is -1, up to 2/3 is 0, above is 1.
    images = _images(3)
    uniform = _uniform([0.9, 0.1, 0, 0], [0.5, 0.5, 0, 0], [0.3, 0.7, 0, 0])
    outputs = np.array(augment(images, uniform, 0.25, 0.0))
    expected = np.zeros((3, 4, 4, 3), "float32")
    # Down and to the left; as it was; up and to the right.
    expected[0, 1:, :-1] = images[0, :-1, 1:]
    expected[1] = images[1]
    expected[2, :-1, 1:] = images[2, 1:, :-1]
    np.testing.assert_array_equal(outputs, expected)


def test_shifts_reach_both_ends_equally():
    size, num_rows = 16, 1000
    values = (np.arange(num_rows) + 0.5) / num_rows
    uniform = np.stack([values, values[::-1], values, values], axis=1)
    # One bright pixel in the middle shows where it has gone.
    images = np.zeros((num_rows, size, size, 1), "float32")
    images[:, 8, 8] = 1.0
    outputs = np.array(augment(images, _uniform(*uniform), 0.125, 0.0))
    assert outputs.sum() == num_rows
    _, rows, columns, _ = np.nonzero(outputs)
    for places in (rows, columns):
        shifts, counts = np.unique(places - 8, return_counts=True)
        assert shifts.tolist() == [-2, -1, 0, 1, 2]
        assert counts.tolist() == [200] * 5
    np.testing.assert_array_equal(rows - 8, 8 - columns)


def test_cutout_by_hand():
    # A square of 2 around the corner before pixel floor(u * 4).
    images = _images(3)
    uniform = _uniform([0, 0, 0.5, 0.25], [0, 0, 0, 0], [0, 0, 0.99, 0.99])
    outputs = np.array(augment(images, uniform, 0.0, 0.5))
    expected = images.copy()
    expected[0, 1:3, 0:2] = 0.0
    expected[1, :1, :1] = 0.0
    expected[2, 2:, 2:] = 0.0
    np.testing.assert_array_equal(outputs, expected)


def test_the_square_of_the_recipe():
    images = np.ones((1, 64, 64, 3), "float32")
    outputs = np.array(augment(images, _uniform([0, 0, 0.5, 0.5]), 0.0, 0.3125))
    # 20 of 64 pixels, in the middle.
    assert (outputs == 0).sum() == 20 * 20 * 3
    assert (outputs[0, 22:42, 22:42] == 0).all()


def test_colors_stay_and_rows_are_apart():
    images = _images(2, size=8)
    uniform = _uniform([0.2, 0.8, 0.3, 0.9], [0.7, 0.4, 0.6, 0.1])
    outputs = np.array(augment(images, uniform, 0.25, 0.25))
    for row in range(2):
        alone = augment(
            images[row : row + 1], uniform[row : row + 1], 0.25, 0.25
        )
        np.testing.assert_array_equal(outputs[row : row + 1], alone)
        colors = {tuple(color) for color in images[row].reshape(-1, 3)}
        for color in outputs[row].reshape(-1, 3):
            assert tuple(color) in colors or not color.any()


def test_nothing_to_do_returns_the_same():
    images = tf.constant(_images(2))
    uniform = _uniform([0.1, 0.2, 0.3, 0.4], [0.9, 0.8, 0.7, 0.6])
    np.testing.assert_array_equal(augment(images, uniform, 0.0, 0.0), images)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_pass(dtype):
    images = tf.cast(_images(2), dtype)
    uniform = _uniform([0.9, 0.1, 0.5, 0.5], [0.3, 0.7, 0.2, 0.8])
    weights = tf.cast(np.random.default_rng(1).normal(size=images.shape), dtype)

    def loss(images):
        return tf.reduce_sum(weights * augment(images, uniform, 0.25, 0.5))

    with tf.GradientTape() as tape:
        tape.watch(images)
        value = loss(images)
    assert value.dtype == dtype
    gradient = np.array(tape.gradient(value, images), "float64")
    if dtype != "float32":
        assert np.isfinite(gradient).all()
        return
    # Linear in the images: finite differences of any length are exact.
    for place in [(0, 1, 1, 0), (0, 0, 3, 2), (1, 2, 0, 1), (1, 3, 1, 0)]:
        moved = np.array(images)
        moved[place] += 1.0
        difference = float(loss(tf.constant(moved)) - value)
        assert gradient[place] == pytest.approx(difference, abs=1e-5)
    assert 0 < np.count_nonzero(gradient) < gradient.size
