import keras
import numpy as np
import pytest

from keras_t2i import StyleEncoder
from tests.models.layer_tables import TRUNK_CHANNELS
from tests.models.layer_tables import table
from tests.models.plain_layers import PlainLayers
from tests.models.plain_layers import leaky_relu
from tests.tiny_models import random_images
from tests.tiny_models import randomize
from tests.tiny_models import tiny_style_encoder

LEAKY_RELU = "LeakyReLU 0.2"


def test_layers_and_parameters():
    encoder = StyleEncoder()
    assert table(encoder) == [
        "Conv2D 4x4/2 same 3->64",
        "BatchNorm 64",
        LEAKY_RELU,
        "Conv2D 4x4/2 same 64->128",
        "BatchNorm 128",
        LEAKY_RELU,
        "Conv2D 4x4/2 same 128->256",
        "BatchNorm 256",
        LEAKY_RELU,
        "Conv2D 4x4/2 same 256->512",
        "BatchNorm 512",
        LEAKY_RELU,
        "Flatten 8192",
        "Dense 8192->100 bias",
    ]
    assert encoder.input_shape == (None, 64, 64, 3)
    assert encoder.output_shape == (None, 100)


@pytest.mark.parametrize("image_size", [32, 128, 256])
def test_other_image_sizes(image_size):
    encoder = StyleEncoder(image_size, width=4, noise_dim=7)
    size = image_size
    for multiple in TRUNK_CHANNELS[image_size]:
        size //= 2
        layer = encoder.get_layer(f"convolution_{size}")
        assert layer.output.shape == (None, size, size, 4 * multiple)
    assert size == 4
    assert encoder.output_shape == (None, 7)


def test_against_plain_operations():
    encoder = tiny_style_encoder()
    randomize(encoder)
    images = random_images(3)
    plain = PlainLayers(encoder)
    x = images
    for size in (16, 8, 4):
        x = plain.convolution(x, f"convolution_{size}", strides=2)
        x = leaky_relu(plain.batch_norm(x, f"batch_normalization_{size}"))
    dense = encoder.get_layer("noise")
    expected = np.reshape(x, (3, -1)) @ dense.kernel + dense.bias
    np.testing.assert_allclose(encoder(images), expected, rtol=1e-4, atol=1e-4)
    # Linear: noise has no limits.
    assert np.abs(expected).max() > 1


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_noise_is_float32_in_any_precision(policy, tmp_path):
    encoder = tiny_style_encoder(dtype=policy)
    assert encoder.get_layer("convolution_8").compute_dtype == policy[6:]
    noise = encoder(random_images(2))
    assert noise.dtype == "float32"
    encoder.save(tmp_path / "encoder.keras")
    copy = keras.saving.load_model(tmp_path / "encoder.keras")
    assert copy.dtype_policy.name == policy
    np.testing.assert_array_equal(copy(random_images(2)), noise)


def test_config_round_trip():
    encoder = StyleEncoder(32, width=4, noise_dim=7, name="style")
    config = encoder.get_config()
    copy = StyleEncoder.from_config(config)
    assert copy.get_config() == config
    assert (copy.image_size, copy.width, copy.noise_dim) == (32, 4, 7)
    assert copy.count_params() == encoder.count_params()


def test_other_image_sizes_are_refused():
    with pytest.raises(ValueError, match="`image_size`.*Received: 48"):
        StyleEncoder(48)
