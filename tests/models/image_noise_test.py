import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.image_noise import ImageNoise
from keras_t2i.models.noise import StepNoise
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_gan

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


def test_its_deviation_is_that_of_the_argument():
    noise = _added(ImageNoise(0.25), 1, shape=(64, 32, 32, 3))
    assert noise.mean() == pytest.approx(0.0, abs=0.003)
    assert noise.std() == pytest.approx(0.25, abs=0.003)


def test_streams_and_steps_differ():
    layer = ImageNoise(0.5)
    for stream, step in ((1, 0), (2, 0), (1, 1)):
        expected = 0.5 * _noise(stream, step)
        np.testing.assert_allclose(
            _added(layer, stream, step), expected, rtol=1e-6
        )
    assert np.abs(_noise(1) - _noise(2)).max() > 1.0


def test_it_falls_by_half_in_a_half_life():
    layer = ImageNoise(0.5, half_life=100)
    for step, deviation in (
        (0, 0.5),
        (50, 0.353553),
        (100, 0.25),
        (300, 0.0625),
    ):
        expected = deviation * _noise(1, step)
        np.testing.assert_allclose(_added(layer, 1, step), expected, rtol=1e-5)


def test_it_comes_back_from_its_config():
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
            interpolate_texts=False,
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
    pictures = plain.generator(
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
    generated = score(pictures + 0.1 * _noise(2, seed=3), text)
    softplus = tf.nn.softplus
    loss = tf.reduce_mean(softplus(-score(images, text)))
    loss += 0.5 * tf.reduce_mean(softplus(score(images, wrong)))
    loss += 0.5 * tf.reduce_mean(softplus(generated))
    assert logs["discriminator_loss"] == pytest.approx(float(loss), abs=1e-5)
    assert logs["generator_loss"] == pytest.approx(
        float(tf.reduce_mean(softplus(-generated))), abs=1e-5
    )


def test_pictures_outside_training_have_none():
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
