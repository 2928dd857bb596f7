import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_t2i
from tests.eager import without_graphs
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_gan


def _stream(first_step):
    """Another batch every step."""
    batches = [embeddings_batch(seed=first_step + step) for step in range(2)]
    return tf.data.Dataset.from_generator(
        lambda: iter(batches),
        output_signature={
            name: tf.TensorSpec(value.shape, value.dtype)
            for name, value in batches[0].items()
        },
    ).apply(tf.data.experimental.assert_cardinality(2))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A GAN after two steps, and the file that it was saved to then."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("saved") / "gan.keras"
    gan = tiny_gan(
        seed=5,
        ema_decay=0.9,
        mode_seeking_weight=0.01,
        image_noise=0.5,
        image_noise_half_life=2,
    )
    gan.compile(
        keras.optimizers.Adam(1e-3, beta_1=0.5),
        keras.optimizers.Adam(2e-3, beta_1=0.5),
        jit_compile=False,
    )
    with without_graphs():
        gan.fit(_stream(0), verbose=0)
    gan.save(path)
    return gan, path


@pytest.mark.usefixtures("eagerly")
def test_a_loaded_gan_goes_on_with_the_identical_history(saved):
    gan, path = saved
    copy = keras.saving.load_model(path)
    assert copy.seed == 5
    assert int(copy.generator_optimizer.iterations) == 2
    assert float(copy.discriminator_optimizer.learning_rate) == pytest.approx(
        2e-3
    )
    assert copy.jit_compile is False
    np.testing.assert_array_equal(copy.generate("a"), gan.generate("a"))
    for value, weight in zip(copy.get_weights(), gan.get_weights()):
        np.testing.assert_array_equal(value, weight)

    expected = gan.fit(_stream(2), verbose=0).history
    assert copy.fit(_stream(2), verbose=0).history == expected
    for value, weight in zip(copy.get_weights(), gan.get_weights()):
        np.testing.assert_array_equal(value, weight)


def test_an_uncompiled_gan_comes_back_uncompiled(tmp_path):
    gan = tiny_gan()
    gan.save(tmp_path / "gan.keras")
    copy = keras.saving.load_model(tmp_path / "gan.keras")
    assert not copy.compiled
    np.testing.assert_array_equal(copy.generate("a"), gan.generate("a"))


def test_weights_alone(tmp_path):
    gan, copy = tiny_gan(), tiny_gan()
    gan.save_weights(tmp_path / "gan.weights.h5")
    copy.load_weights(tmp_path / "gan.weights.h5")
    np.testing.assert_array_equal(copy.generate("a"), gan.generate("a"))


def test_a_text_encoder_of_any_kind_is_saved(tmp_path):
    # A plain Functional model, whose config Keras writes itself.
    inputs = keras.Input((201,), dtype="int32")
    x = keras.layers.Embedding(71, 16)(inputs)
    x = keras.layers.GlobalAveragePooling1D()(x)
    gan = tiny_gan()
    gan = keras_t2i.TextToImageGAN(
        gan.generator, gan.discriminator, keras.Model(inputs, x)
    )
    gan.save(tmp_path / "gan.keras")
    copy = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(copy.generate("a"), gan.generate("a"))
