import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import ModulatedGenerator
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import tiny_modulated_generator

# Channels of the maps, the smallest first, as multiples of the width.
CHANNELS = {
    32: {4: 8, 8: 4, 16: 2},
    64: {4: 8, 8: 4, 16: 2, 32: 1},
    128: {4: 8, 8: 4, 16: 2, 32: 1, 64: 0.5},
    256: {4: 8, 8: 4, 16: 2, 32: 1, 64: 0.5, 128: 0.25},
}


def _inputs(num_rows=3, seed=0):
    generator = np.random.default_rng(seed)
    return {
        name: tf.constant(generator.normal(size=(num_rows, dim)), "float32")
        for name, dim in (
            ("noise", NOISE_DIM),
            ("text_embeddings", EMBEDDING_DIM),
        )
    }


def test_layers_and_parameters():
    generator = ModulatedGenerator(64, width=32, text_embedding_dim=256)
    # By hand, noise and text being 100 + 128 numbers.
    counts = {
        "text_standardization": 2 * 256,
        "text_projection": 256 * 128 + 128,
        "dense": 228 * 16 * 256,
        "residual_convolution": 9 * 256 * 256,
        "convolution_8": 9 * 256 * 128,
        "convolution_16": 9 * 128 * 64,
        "convolution_32": 9 * 64 * 32,
        "convolution_64": 9 * 32 * 3 + 3,
    }
    maps = ((4, 256), ("residual", 256), (8, 128), (16, 64), (32, 32))
    for name, channels in maps:
        # Scale and offset from noise and text; mean and variance.
        counts[f"modulation_{name}"] = 228 * 2 * channels + 2 * channels
        counts[f"batch_normalization_{name}"] = 2 * channels
    for name, count in counts.items():
        assert generator.get_layer(name).count_params() == count, name
    assert generator.count_params() == sum(counts.values()) == 2_283_619


def test_an_image_made_at_full_resolution():
    generator = ModulatedGenerator(
        64, width=32, full_resolution=True, text_embedding_dim=256
    )
    # In place of an upsampling layer to three channels, one to half the width,
    # with all that follows such layers, and a 3x3 convolution.
    more = 9 * 32 * 16 + 228 * 32 + 32 + 32 + 9 * 16 * 3 + 3
    less = 9 * 32 * 3 + 3
    assert generator.count_params() == 2_283_619 + more - less
    assert generator.get_layer("convolution_64").output.shape[1:] == (
        64,
        64,
        16,
    )
    assert generator.get_layer("image_convolution").strides == (1, 1)
    assert generator.get_config()["full_resolution"] is True


@pytest.mark.parametrize("image_size", CHANNELS)
def test_image_sizes(image_size):
    generator = ModulatedGenerator(image_size, width=4, text_embedding_dim=16)
    assert generator.output_shape == (None, image_size, image_size, 3)
    for size, multiple in CHANNELS[image_size].items():
        layer = generator.get_layer(f"modulation_{size}")
        assert layer.output.shape == (None, size, size, 4 * multiple)
    layer = generator.get_layer(f"convolution_{image_size}")
    assert layer.output.shape == (None, image_size, image_size, 3)


def test_config_round_trip(tmp_path):
    options = {
        "width": 3,
        "text_embedding_dim": EMBEDDING_DIM,
        "text_projection_dim": 5,
        "noise_dim": NOISE_DIM,
    }
    generator = ModulatedGenerator(32, **options, name="mine")
    generator.save(tmp_path / "generator.keras")
    copy = keras.saving.load_model(tmp_path / "generator.keras")
    assert copy.get_config() == generator.get_config()
    assert copy.name == "mine"
    assert {name: getattr(copy, name) for name in options} == options
    np.testing.assert_array_equal(copy(_inputs()), generator(_inputs()))


def test_against_plain_operations():
    generator = tiny_modulated_generator()
    for weight in generator.weights:
        if "mean" not in weight.path and "variance" not in weight.path:
            weight.assign(5.0 * weight + 0.01)
    inputs = _inputs()

    def weights(name):
        return [np.array(w) for w in generator.get_layer(name).weights]

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    mean, deviation = weights("text_standardization")
    text = (inputs["text_embeddings"] - mean) / deviation
    kernel, bias = weights("text_projection")
    vector = np.concatenate([inputs["noise"], leaky(text @ kernel + bias)], -1)

    def modulated(x, name):
        # Moving mean 0 and variance 1.
        x = x / np.sqrt(1 + 1e-5)
        kernel, bias = weights(f"modulation_{name}")
        gamma, beta = np.split(vector @ kernel + bias, 2, axis=1)
        return leaky(x * (1 + gamma[:, None, None]) + beta[:, None, None])

    (kernel,) = weights("dense")
    x = modulated((vector @ kernel).reshape(3, 4, 4, 32), 4)
    (kernel,) = weights("residual_convolution")
    residual = tf.nn.conv2d(tf.constant(x, "float32"), kernel, 1, "SAME")
    x = x + modulated(np.array(residual), "residual")
    for size in (8, 16, 32):
        kernel, *bias = weights(f"convolution_{size}")
        x = x.repeat(2, axis=1).repeat(2, axis=2)
        x = tf.nn.conv2d(tf.constant(x, "float32"), kernel, 1, "SAME")
        x = np.array(x)
        x = np.tanh(x + bias[0]) if bias else modulated(x, size)
    assert x.std() > 0.05
    np.testing.assert_allclose(generator(inputs), x, atol=1e-4)


def test_noise_and_text_both_matter():
    generator = tiny_modulated_generator()
    start, other = _inputs(), _inputs(seed=1)
    images = generator(start, training=True)
    assert images.dtype == tf.float32
    for name in start:
        changed = generator({**start, name: other[name]}, training=True)
        assert np.abs(changed - images).max() > 1e-3


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    generator = tiny_modulated_generator(dtype=policy)
    assert generator.dtype_policy.name == policy
    for name in ("convolution_8", "modulation_8", "batch_normalization_8"):
        layer = generator.get_layer(name)
        assert layer.compute_dtype == policy.removeprefix("mixed_")
    assert {weight.dtype for weight in generator.weights} == {"float32"}
    exact = tiny_modulated_generator()
    exact.set_weights(generator.get_weights())
    images = generator(_inputs(), training=True)
    assert images.dtype == tf.float32
    np.testing.assert_allclose(
        images, exact(_inputs(), training=True), atol=0.05
    )


def test_other_image_sizes_are_refused():
    with pytest.raises(ValueError, match="Received: 48"):
        ModulatedGenerator(48)
