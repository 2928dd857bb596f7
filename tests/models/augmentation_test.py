import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.augmentation import ImageNoise
from keras_t2i.models.augmentation import augment
from keras_t2i.models.noise import StepNoise
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_gan


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


def test_gradients_of_shifts_are_shifted_back():
    images = tf.constant(_images(5, size=8))
    uniform = _uniform(*np.random.default_rng(2).uniform(size=(5, 4)))
    weights = np.random.default_rng(3).normal(size=images.shape)
    weights = tf.constant(weights, "float32")
    with tf.GradientTape() as tape:
        tape.watch(images)
        loss = tf.reduce_sum(weights * augment(images, uniform, 0.25, 0.0))
    gradient = tape.gradient(loss, images)
    # The other way round: what is 0 to the shift of 0.0 is 1 to that of 1.0.
    back = augment(tf.constant(weights, "float32"), 0.9999 - uniform, 0.25, 0.0)
    np.testing.assert_array_equal(gradient, back)


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


# === Noise ===


SHAPE = (4, 32, 32, 3)


def _batch(num_rows=4):
    batch = embeddings_batch(num_rows)
    return {name: tf.constant(value) for name, value in batch.items()}


def _noise(stream, step=0, seed=7):
    values = StepNoise(seed, tf.constant(step)).normal(stream, 4, 32 * 32 * 3)
    return np.reshape(values, SHAPE)


def _added(layer, stream, step=0, shape=SHAPE):
    noise = StepNoise(7, tf.constant(step))
    return np.array(
        layer(tf.zeros(shape), noise=noise, stream=stream, rows=shape[0])
    )


def test_deviation_of_image_noise_is_that_of_the_argument():
    noise = _added(ImageNoise(0.25), 1, shape=(64, 32, 32, 3))
    assert noise.mean() == pytest.approx(0.0, abs=0.003)
    assert noise.std() == pytest.approx(0.25, abs=0.003)


def test_image_noise_of_streams_and_steps_differs():
    layer = ImageNoise(0.5)
    for stream, step in ((1, 0), (2, 0), (1, 1)):
        expected = 0.5 * _noise(stream, step)
        np.testing.assert_allclose(
            _added(layer, stream, step), expected, rtol=1e-6
        )
    assert np.abs(_noise(1) - _noise(2)).max() > 1.0


def test_image_noise_falls_by_half_in_a_half_life():
    layer = ImageNoise(0.5, half_life=100)
    for step, deviation in (
        (0, 0.5),
        (50, 0.353553),
        (100, 0.25),
        (300, 0.0625),
    ):
        expected = deviation * _noise(1, step)
        np.testing.assert_allclose(_added(layer, 1, step), expected, rtol=1e-5)


def test_image_noise_comes_back_from_its_config():
    layer = ImageNoise(0.5, half_life=100, name="mine")
    copy = ImageNoise.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert (copy.deviation, copy.half_life) == (0.5, 100)


@pytest.mark.parametrize("steps", (0, -5))
def test_a_half_life_is_at_least_one_step(steps):
    with pytest.raises(
        ValueError, match=f"`image_noise_half_life`.*Received: {steps}"
    ):
        tiny_gan(image_noise=0.5, image_noise_half_life=steps)


def test_the_discriminator_is_trained_on_noisy_images():
    """A step with noise is one without it on images that have it already."""
    noisy, plain = (
        tiny_gan(
            interpolate=False,
            scores_jointly=False,
            image_noise=level,
            seed=3,
        )
        for level in (0.1, 0.0)
    )
    plain.set_weights(noisy.get_weights())
    for gan in (noisy, plain):
        gan.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    batch = _batch()
    logs = {
        name: float(value) for name, value in noisy.train_step(batch).items()
    }
    generated_images = plain.generator(
        {
            "noise": StepNoise(3, tf.constant(0)).normal(0, 4, plain.noise_dim),
            "text_embeddings": batch["text_embeddings"],
        },
        training=True,
    )

    def score(images, text):
        return plain.discriminator(
            {"images": images, "text_embeddings": text}, training=True
        )

    text, wrong = batch["text_embeddings"], batch["mismatched_text_embeddings"]
    images = batch["images"] + 0.1 * _noise(1, seed=3)
    generated = score(generated_images + 0.1 * _noise(2, seed=3), text)
    softplus = tf.nn.softplus
    loss = tf.reduce_mean(softplus(-score(images, text)))
    loss += 0.5 * tf.reduce_mean(softplus(score(images, wrong)))
    loss += 0.5 * tf.reduce_mean(softplus(generated))
    assert logs["discriminator_loss"] == pytest.approx(float(loss), abs=1e-5)
    assert logs["generator_loss"] == pytest.approx(
        float(tf.reduce_mean(softplus(-generated))), abs=1e-5
    )


def test_images_outside_training_have_no_noise():
    gan = tiny_gan(image_noise=0.5)
    plain = tiny_gan()
    plain.set_weights(gan.get_weights())
    captions = ["a red flower", "a rose"]
    np.testing.assert_array_equal(
        gan.generate(captions), plain.generate(captions)
    )
    for model in (gan, plain):
        model.compile()
    batch = _batch()
    assert {k: float(v) for k, v in gan.test_step(batch).items()} == {
        k: float(v) for k, v in plain.test_step(batch).items()
    }
