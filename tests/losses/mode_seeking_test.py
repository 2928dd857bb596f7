import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.losses import layouts
from keras_t2i.losses import mode_seeking_loss


def test_by_hand():
    # Images 0.5 and 0.25 apart, noise 1 and 2: 1 / (0.375 / 1.5).
    images = np.zeros((2, 2, 2, 3), "float32")
    other = np.stack([images[0] + 0.5, images[1] - 0.25])
    noise = np.zeros((2, 4), "float32")
    other_noise = np.stack([noise[0] - 1.0, noise[1] + 2.0])
    loss = mode_seeking_loss(images, other, noise, other_noise)
    assert float(loss) == pytest.approx(4.0, rel=1e-4)


def test_images_that_are_alike_are_costly_but_finite():
    images, noise = np.zeros((2, 4, 4, 3)), np.zeros((2, 4))
    loss = mode_seeking_loss(images, images, noise, noise + 1.0)
    assert float(loss) == pytest.approx(1e5)


def test_descending_drives_images_apart():
    image = tf.Variable(np.full((1, 2, 2, 3), 0.1, "float32"))
    with tf.GradientTape() as tape:
        loss = mode_seeking_loss(
            image,
            tf.zeros_like(image),
            tf.ones((1, 4)),
            tf.zeros((1, 4)),
        )
    assert np.all(tape.gradient(loss, image) < 0.0)


def test_a_layout_by_hand():
    # Halves of 3 and 1: their mean is 2, their deviation 1.
    images = np.ones((1, 32, 32, 3), "float32")
    images[:, :, :16] = 3.0
    expected = np.ones((1, 16, 16, 3))
    expected[:, :, 8:] = -1.0
    assert np.allclose(layouts(images), expected, atol=1e-4)


def test_a_layout_has_neither_grain_nor_brightness_nor_contrast():
    generator = np.random.default_rng(0)
    coarse = generator.normal(size=(2, 16, 16, 3)).astype("float32")
    images = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2)
    grain = np.indices((64, 64)).sum(axis=0) % 2 - 0.5
    changed = 0.25 * images + 0.5 + grain[None, :, :, None]
    assert np.allclose(layouts(changed), layouts(images), atol=5e-3)
    assert not np.allclose(layouts(images[::-1]), layouts(images), atol=0.1)


def test_one_color_has_no_layout_and_a_finite_gradient():
    images = tf.Variable(np.full((1, 32, 32, 3), 0.3, "float32"))
    with tf.GradientTape() as tape:
        layout = layouts(images)
        loss = tf.reduce_sum(layout[:, 0])
    assert np.allclose(layout, 0.0, atol=1e-3)
    assert np.all(np.isfinite(tape.gradient(loss, images)))


def test_images_of_whole_numbers_are_refused():
    # The difference of uint8 wraps: 0 - 1 is 255.
    images, noise = np.zeros((2, 4, 4, 3)), np.zeros((2, 4))
    with pytest.raises(ValueError, match="`other_images` must.*uint8"):
        mode_seeking_loss(images, images.astype("uint8"), noise, noise)


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (2, 40, 40, 3), (32, 32, 3)])
def test_images_without_a_layout(shape):
    with pytest.raises(ValueError, match=r"a multiple of 16. Received: \("):
        layouts(np.zeros(shape))
