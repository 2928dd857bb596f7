import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import Generator
from tests.models.layer_tables import FALLING_GENERATOR_CHANNELS
from tests.models.layer_tables import GENERATOR_CHANNELS
from tests.models.layer_tables import generator_parameters
from tests.models.layer_tables import table
from tests.models.plain_layers import PlainLayers
from tests.models.plain_layers import leaky_relu
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import NOISE_DIM
from tests.tiny_models import randomize
from tests.tiny_models import tiny_generator

TEXT_BRANCH = [
    "Dense 1024->128 bias",
    "LeakyReLU 0.2",
    "Concatenate 228",
    "Reshape 1x1x228",
]
# Both as in the papers' description, with a width of 64 and of 128.
PLAIN_LAYERS = [
    "Conv2DTranspose 4x4/1 valid 228->512",
    "BatchNorm 512",
    "ReLU 4x4x512",
    "Conv2DTranspose 4x4/2 same 512->256",
    "BatchNorm 256",
    "ReLU 8x8x256",
    "Conv2DTranspose 4x4/2 same 256->128",
    "BatchNorm 128",
    "ReLU 16x16x128",
    "Conv2DTranspose 4x4/2 same 128->64",
    "BatchNorm 64",
    "ReLU 32x32x64",
    "Conv2DTranspose 4x4/2 same 64->3",
    "tanh",
]
RELEASED_LAYERS = [
    "Conv2DTranspose 4x4/1 valid 228->1024",
    "BatchNorm 1024",
    "Conv2D 1x1/1 same 1024->256",
    "BatchNorm 256",
    "ReLU 4x4x256",
    "Conv2D 3x3/1 same 256->256",
    "BatchNorm 256",
    "ReLU 4x4x256",
    "Conv2D 3x3/1 same 256->1024",
    "BatchNorm 1024",
    "Add 4x4x1024",
    "ReLU 4x4x1024",
    "Conv2DTranspose 4x4/2 same 1024->512",
    "BatchNorm 512",
    "Conv2D 1x1/1 same 512->128",
    "BatchNorm 128",
    "ReLU 8x8x128",
    "Conv2D 3x3/1 same 128->128",
    "BatchNorm 128",
    "ReLU 8x8x128",
    "Conv2D 3x3/1 same 128->512",
    "BatchNorm 512",
    "Add 8x8x512",
    "ReLU 8x8x512",
    "Conv2DTranspose 4x4/2 same 512->256",
    "BatchNorm 256",
    "ReLU 16x16x256",
    "Conv2DTranspose 4x4/2 same 256->128",
    "BatchNorm 128",
    "ReLU 32x32x128",
    "Conv2DTranspose 4x4/2 same 128->3",
    "tanh",
]


def _table(generator):
    """Text branch and main path: Keras may list a branch's layers anywhere."""
    lines = table(generator)
    return sorted(lines[:4]), lines[4:]


@pytest.mark.parametrize(
    ("width", "residual_blocks", "layers"),
    [(64, False, PLAIN_LAYERS), (128, True, RELEASED_LAYERS)],
)
def test_layers_and_parameters(width, residual_blocks, layers):
    generator = Generator(64, width=width, residual_blocks=residual_blocks)
    assert _table(generator) == (sorted(TEXT_BRANCH), layers)
    assert generator.count_params() == generator_parameters(
        64, width, residual_blocks
    )


@pytest.mark.parametrize("image_size", [32, 128, 256])
def test_other_image_sizes(image_size):
    generator = Generator(image_size, width=4)
    assert generator.output_shape == (None, image_size, image_size, 3)
    size = 4
    for multiple in GENERATOR_CHANNELS[image_size]:
        layer = generator.get_layer(f"convolution_{size}")
        assert layer.output.shape == (None, size, size, 4 * multiple)
        size *= 2
    assert size == image_size
    assert generator.count_params() == generator_parameters(
        image_size, 4, False
    )


@pytest.mark.parametrize("image_size", FALLING_GENERATOR_CHANNELS)
def test_falling_channels(image_size):
    generator = Generator(image_size, width=4, falling_channels=True)
    size = 4
    for multiple in FALLING_GENERATOR_CHANNELS[image_size]:
        layer = generator.get_layer(f"convolution_{size}")
        assert layer.output.shape == (None, size, size, 4 * multiple)
        size *= 2
    assert size == image_size
    config = generator.get_config()
    assert config.pop("falling_channels")
    # As of before there was the argument.
    assert not Generator.from_config(config).falling_channels


def test_falling_channels_do_not_end():
    generator = Generator(256, width=1, falling_channels=True)
    assert generator.get_layer("convolution_128").output.shape[-1] == 1


@pytest.mark.parametrize("residual_blocks", [False, True])
def test_against_plain_operations(residual_blocks):
    generator = tiny_generator(residual_blocks=residual_blocks)
    randomize(generator)
    random = np.random.default_rng(0)
    noise = random.normal(size=(2, NOISE_DIM)).astype("float32")
    text = random.normal(size=(2, EMBEDDING_DIM)).astype("float32")

    plain = PlainLayers(generator)
    x = leaky_relu(plain.dense(text, "text_projection"))
    x = tf.concat([noise, x], -1)[:, None, None]
    for size in (4, 8, 16):
        first = size == 4
        x = plain.transposed_convolution(
            x,
            f"convolution_{size}",
            strides=1 if first else 2,
            padding="VALID" if first else "SAME",
        )
        x = plain.batch_norm(x, f"batch_normalization_{size}")
        if residual_blocks and size <= 8:
            x = plain.residual(x, f"residual_{size}", tf.nn.relu)
        else:
            x = tf.nn.relu(x)
    x = plain.transposed_convolution(x, "convolution_32")
    # Scaled down, so that tanh leaves something to compare.
    scale = 1 / np.abs(x).max()
    kernel = generator.get_layer("convolution_32").kernel
    kernel.assign(kernel * scale)

    images = generator({"noise": noise, "text_embeddings": text})
    expected = np.tanh(np.array(x) * scale)
    assert expected.std() > 0.05
    np.testing.assert_allclose(images, expected, atol=1e-5)


def test_images_are_float32_and_in_range():
    generator = tiny_generator()
    noise = 100 * np.ones((2, NOISE_DIM), "float32")
    text = 100 * np.ones((2, EMBEDDING_DIM), "float32")
    images = np.array(generator({"noise": noise, "text_embeddings": text}))
    assert images.dtype == np.float32
    assert np.abs(images).max() <= 1.0


def test_noise_and_text_both_matter():
    generator = tiny_generator()
    zeros = np.zeros((1, NOISE_DIM)), np.zeros((1, EMBEDDING_DIM))
    ones = np.ones((1, NOISE_DIM)), np.ones((1, EMBEDDING_DIM))

    def generate(noise, text):
        return np.array(generator({"noise": noise, "text_embeddings": text}))

    start = generate(zeros[0], zeros[1])
    assert np.abs(generate(ones[0], zeros[1]) - start).max() > 1e-6
    assert np.abs(generate(zeros[0], ones[1]) - start).max() > 1e-6


def test_config_round_trip():
    generator = Generator(
        64,
        width=3,
        residual_blocks=True,
        text_embedding_dim=7,
        text_projection_dim=5,
        noise_dim=6,
        name="mine",
    )
    config = keras.saving.serialize_keras_object(generator)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == generator.get_config()
    assert copy.name == "mine"
    assert copy.residual_blocks is True
    assert (copy.width, copy.noise_dim) == (3, 6)
    assert copy.count_params() == generator.count_params()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_precision_comes_back(policy, tmp_path):
    generator = tiny_generator(dtype=policy)
    generator.save(tmp_path / "generator.keras")
    copy = keras.saving.load_model(tmp_path / "generator.keras")
    assert copy.dtype_policy.name == policy
    assert copy.get_layer("convolution_4").dtype_policy.name == policy
    assert copy.get_layer("images").dtype_policy.name == "float32"
    assert {weight.dtype for weight in copy.weights} == {"float32"}
    inputs = {
        "noise": np.ones((2, NOISE_DIM), "float32"),
        "text_embeddings": np.ones((2, EMBEDDING_DIM), "float32"),
    }
    assert copy(inputs).dtype == tf.float32
    np.testing.assert_array_equal(copy(inputs), generator(inputs))


def test_a_global_policy_is_taken():
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    generator = tiny_generator()
    assert generator.dtype_policy.name == "mixed_bfloat16"
    assert generator.get_layer("convolution_8").compute_dtype == "bfloat16"


def test_other_image_sizes_are_refused():
    with pytest.raises(ValueError, match="Received: 48"):
        Generator(48)
