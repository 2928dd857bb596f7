"""The steps of a model, which count on when it is compiled again."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_t2i
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_style_encoder

_GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def _batch():
    return {
        name: tf.constant(value) for name, value in embeddings_batch().items()
    }


def _compiled(model, learning_rate=0.1, **options):
    names = [name for name in model.compiled_objects if name != "loss"]
    model.compile(
        *(keras.optimizers.SGD(learning_rate, **options) for _ in names)
    )
    return model


def _inversion():
    gan = tiny_gan()
    return keras_t2i.StyleInversion(
        gan.ema_generator, gan.text_encoder, tiny_style_encoder()
    )


def test_a_gan_that_is_compiled_again_goes_on():
    options = {"image_noise": 0.5, "image_noise_half_life": 1}
    once, again = tiny_gan(**options), tiny_gan(**options)
    again.set_weights(once.get_weights())
    for gan in (once, again):
        _compiled(gan)
        for _ in range(3):
            gan.train_step(_batch())
    _compiled(again)
    assert int(again.generator_optimizer.iterations) == 0
    for gan in (once, again):
        gan.train_step(_batch())
        assert int(gan.steps_trained) == 4
    # Noise of the same size and values, the same decay of the average.
    for weight, expected in zip(again.weights, once.weights):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("make", [tiny_gan, _inversion])
def test_micro_batches_have_noise_of_their_own(make):
    # Nothing changes but the noise.
    model = _compiled(make(), 0.0, gradient_accumulation_steps=2)
    losses = []
    for _ in range(4):
        model.reset_metrics()
        logs = model.train_step(_batch())
        losses.append(float(logs[model.metrics_names[0]]))
    assert len(set(losses)) == 4
    assert int(model.steps_trained) == 4
    assert int(model.optimizer.iterations) == 2


@pytest.mark.parametrize("make", [tiny_gan, _inversion])
def test_the_count_is_saved(make, tmp_path):
    model = _compiled(make())
    model.train_step(_batch())
    _compiled(model)
    model.train_step(_batch())
    model.save(tmp_path / "model.keras")
    for compile in (True, False):
        copy = keras.saving.load_model(
            tmp_path / "model.keras", compile=compile
        )
        assert int(copy.steps_trained) == 2
    assert int(_compiled(copy).steps_trained) == 2


def test_a_preset_folder_keeps_the_count(tmp_path):
    recipe = keras_t2i.Recipe.from_preset("gan")
    gan = _compiled(tiny_gan(recipe=recipe))
    gan.train_step(_batch())
    gan.save_to_preset(tmp_path)
    for overrides in ({}, {"mismatch_weight": 0.25}):
        copy = keras_t2i.TextToImageGAN.from_preset(str(tmp_path), **overrides)
        assert int(copy.steps_trained) == 1


def test_a_file_of_before_the_count_has_that_of_the_optimizer():
    gan = keras.saving.load_model(_GOLDEN / "text_to_image_gan.keras")
    assert int(gan.steps_trained) == 1
    _compiled(gan)
    assert int(gan.steps_trained) == 1
