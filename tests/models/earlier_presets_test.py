"""Presets learn as they did before others came, number by number."""

import keras
import numpy as np
import tensorflow as tf

from keras_t2i import TextToImageGAN
from keras_t2i.models.from_recipe import gan_optimizer
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_text_encoder
from tests.tiny_models import token_ids_batch

# Of commit 34da103. Other machines sum in another order, and Adam takes steps
# of its full length from gradients next to 0.
_TOLERANCE = {"rtol": 1e-4, "atol": 1e-6}


def _after_two_steps(make_batch, embedding_scale=1.0):
    gan = TextToImageGAN.from_preset(
        "gan_int_cls",
        image_size=32,
        width=4,
        text_encoder=tiny_text_encoder(),
    )
    gan.compile(
        gan_optimizer(gan.recipe, "generator", 2),
        gan_optimizer(gan.recipe, "discriminator", 2),
    )
    kernel = gan.text_encoder.get_layer("embedding").kernel
    kernel.assign(embedding_scale * kernel)
    for seed in range(2):
        results = gan.train_step(_tensors(make_batch(8, seed=seed)))
    batch = embeddings_batch(3, seed=9)
    pairs = _tensors(batch)
    del pairs["mismatched_text_embeddings"]
    noise = np.random.default_rng(4).normal(size=(2, 100)).astype("float32")
    texts = batch["text_embeddings"][:2]
    images = gan.generator({"noise": noise, "text_embeddings": texts})
    texts = gan.text_encoder(token_ids_batch(2, seed=9)["token_ids"])
    return (
        {name: float(value) for name, value in results.items()},
        np.array(gan.discriminator(pairs))[:, 0],
        np.abs(images).sum(),
        np.array(texts)[:, 0],
    )


def _tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


def _assert_recorded(found, metrics, logits, brightness, texts):
    assert set(found[0]) == set(metrics)
    for name, value in metrics.items():
        np.testing.assert_allclose(found[0][name], value, **_TOLERANCE)
    np.testing.assert_allclose(found[1], logits, **_TOLERANCE)
    np.testing.assert_allclose(found[2], brightness, **_TOLERANCE)
    np.testing.assert_allclose(found[3], texts, **_TOLERANCE)


def test_from_embeddings():
    _assert_recorded(
        _after_two_steps(embeddings_batch),
        {
            "discriminator_loss": 1.3980953693389893,
            "generator_loss": 1.4032447338104248,
            "real_accuracy": 0.4375,
            "mismatched_accuracy": 0.25,
            "generated_accuracy": 0.5625,
            "diversity": 0.05958770960569382,
            "mode_seeking_loss": 31.58708953857422,
        },
        [-0.011409392580389977, 0.025394074618816376, 0.013718019239604473],
        2.159165620803833,
        [0.020378805696964264, 0.020559042692184448],
    )


def test_end_to_end():
    _assert_recorded(
        _after_two_steps(token_ids_batch, embedding_scale=500.0),
        {
            "discriminator_loss": 1.3734248876571655,
            "generator_loss": 1.3795652389526367,
            "real_accuracy": 0.4375,
            "mismatched_accuracy": 0.5,
            "generated_accuracy": 0.5625,
            "diversity": 0.019946029409766197,
            "mode_seeking_loss": 127.2859115600586,
        },
        [-0.06990572065114975, -0.02393868938088417, -0.038129791617393494],
        2.15389347076416,
        [10.085755348205566, 10.204415321350098],
    )


def test_compile_takes_the_optimizers_of_the_preset():
    gan = TextToImageGAN.from_preset(
        "gan_int_cls",
        image_size=32,
        width=4,
        text_encoder=tiny_text_encoder(),
    )
    gan.compile()
    for optimizer, rate in (
        (gan.generator_optimizer, 4e-4),
        (gan.discriminator_optimizer, 1e-4),
    ):
        assert type(optimizer) is keras.optimizers.Adam
        np.testing.assert_allclose(float(optimizer.learning_rate), rate)
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)
