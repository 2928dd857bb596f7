import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import Discriminator
from tests.models.layer_tables import FALLING_GENERATOR_CHANNELS
from tests.models.layer_tables import TRUNK_CHANNELS
from tests.models.layer_tables import discriminator_parameters
from tests.models.layer_tables import table
from tests.models.plain_layers import PlainLayers
from tests.models.plain_layers import leaky_relu
from tests.tiny_models import embeddings_batch
from tests.tiny_models import randomize
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import weights_of

LEAKY_RELU = "LeakyReLU 0.2"
TRUNK_OF_THE_NOTE = [
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
    "Conv2D 4x4/2 same 512->512",
    "BatchNorm 512",
    LEAKY_RELU,
]
RELEASED_TRUNK = [
    "Conv2D 4x4/2 same 3->64",
    LEAKY_RELU,
    "Conv2D 4x4/2 same 64->128",
    "BatchNorm 128",
    LEAKY_RELU,
    "Conv2D 4x4/2 same 128->256",
    "BatchNorm 256",
    "Conv2D 4x4/2 same 256->512",
    "BatchNorm 512",
    "Conv2D 1x1/1 same 512->128",
    "BatchNorm 128",
    LEAKY_RELU,
    "Conv2D 3x3/1 same 128->128",
    "BatchNorm 128",
    LEAKY_RELU,
    "Conv2D 3x3/1 same 128->512",
    "BatchNorm 512",
    "Add 4x4x512",
    LEAKY_RELU,
]


def _head(size, text_batch_norm):
    """Text branch and joint path of the head at a width of 64."""
    return [
        "Dense 1024->128 bias",
        *(["BatchNorm 128"] if text_batch_norm else []),
        LEAKY_RELU,
        f"RepeatVector {size * size}x128",
        f"Reshape {size}x{size}x128",
        f"Concatenate {size}x{size}x640",
        "Conv2D 1x1/1 same 640->512",
        "BatchNorm 512",
        LEAKY_RELU,
        f"Conv2D {size}x{size}/1 valid 512->1",
        "Flatten 1",
    ]


@pytest.mark.parametrize(
    ("fusion_size", "as_released", "trunk"),
    [
        (2, False, TRUNK_OF_THE_NOTE),
        (4, False, TRUNK_OF_THE_NOTE[:-3]),
        (4, True, RELEASED_TRUNK),
    ],
)
def test_layers_and_parameters(fusion_size, as_released, trunk):
    discriminator = Discriminator(
        64, fusion_size=fusion_size, as_released=as_released
    )
    assert table(discriminator.trunk) == trunk
    assert table(discriminator.head) == _head(fusion_size, as_released)
    assert discriminator.count_params() == discriminator_parameters(
        64, 64, fusion_size, as_released
    )


@pytest.mark.parametrize("image_size", [32, 128, 256])
@pytest.mark.parametrize("fusion_size", [2, 4])
def test_other_image_sizes(image_size, fusion_size):
    discriminator = Discriminator(image_size, width=4, fusion_size=fusion_size)
    assert discriminator.output_shape == (None, 1)
    size = image_size
    for multiple in TRUNK_CHANNELS[image_size]:
        size //= 2
        layer = discriminator.trunk.get_layer(f"convolution_{size}")
        assert layer.output.shape == (None, size, size, 4 * multiple)
    assert size == 4
    assert discriminator.trunk.output_shape[1:3] == (fusion_size, fusion_size)
    assert discriminator.count_params() == discriminator_parameters(
        image_size, 4, fusion_size, False
    )


@pytest.mark.parametrize("image_size", FALLING_GENERATOR_CHANNELS)
def test_falling_channels(image_size):
    discriminator = Discriminator(image_size, width=4, falling_channels=True)
    size = image_size
    for multiple in reversed(FALLING_GENERATOR_CHANNELS[image_size]):
        size //= 2
        layer = discriminator.trunk.get_layer(f"convolution_{size}")
        assert layer.output.shape == (None, size, size, 4 * multiple)
    assert size == 4
    assert discriminator.trunk.output_shape == (None, 2, 2, 32)
    config = discriminator.get_config()
    assert config.pop("falling_channels")
    assert not Discriminator.from_config(config).falling_channels


@pytest.mark.parametrize(
    ("fusion_size", "as_released"), [(2, False), (4, False), (4, True)]
)
def test_against_plain_operations(fusion_size, as_released):
    discriminator = tiny_discriminator(
        fusion_size=fusion_size, as_released=as_released
    )
    randomize(discriminator)
    batch = embeddings_batch(3)
    text = batch["text_embeddings"]

    plain = PlainLayers(discriminator.trunk)
    x = batch["images"]
    for size in (16, 8, 4, 2):
        if size < fusion_size:
            break
        x = plain.convolution(x, f"convolution_{size}", strides=2)
        if size < 16 or not as_released:
            x = plain.batch_norm(x, f"batch_normalization_{size}")
        # The released code has no activation at 8x8 and at 4x4, of 64x64:
        # after the last two convolutions.
        if size > 8 or not as_released:
            x = leaky_relu(x)
    if as_released:
        x = plain.residual(x, "residual_4", leaky_relu)
    features = x

    plain = PlainLayers(discriminator.head)
    t = plain.dense(text, "text_projection")
    if as_released:
        t = plain.batch_norm(t, "text_batch_normalization")
    t = leaky_relu(t)
    t = tf.tile(t[:, None, None], (1, fusion_size, fusion_size, 1))
    x = plain.convolution(tf.concat([x, t], -1), "convolution_joint")
    x = leaky_relu(plain.batch_norm(x, "batch_normalization_joint"))
    x = plain.convolution(x, "convolution_logit", padding="VALID")
    expected = np.array(x)[:, 0, 0]

    logits = np.array(
        discriminator({"images": batch["images"], "text_embeddings": text})
    )
    assert expected.shape == logits.shape == (3, 1)
    np.testing.assert_allclose(logits, expected, rtol=1e-4)
    np.testing.assert_allclose(
        discriminator.trunk(batch["images"]), features, rtol=1e-4, atol=1e-4
    )


def test_one_trunk_pass_serves_several_texts():
    # In training mode, where batch norm takes the statistics of the batch.
    shared, separate = tiny_discriminator(), tiny_discriminator()
    separate.set_weights(shared.get_weights())
    before = weights_of(shared.trunk)
    batch = embeddings_batch(6)
    batch = {name: tf.constant(value) for name, value in batch.items()}
    texts = batch["text_embeddings"], batch["mismatched_text_embeddings"]

    features = shared.trunk(batch["images"], training=True)
    for text in texts:
        pair = {"features": features, "text_embeddings": text}
        logits = shared.head(pair, training=True)
        pair = {"images": batch["images"], "text_embeddings": text}
        expected = separate(pair, training=True)
        np.testing.assert_allclose(logits, expected, atol=1e-6)

    # The heads saw the same; the separate trunk saw the images twice.
    after, after_both = weights_of(shared.head), weights_of(separate.head)
    for path, value in after.items():
        np.testing.assert_allclose(value, after_both[path], atol=1e-6)
    after, after_both = weights_of(shared.trunk), weights_of(separate.trunk)
    moved = 0
    for path, value in after.items():
        if "moving" not in path:
            np.testing.assert_array_equal(value, after_both[path])
            continue
        # After one step 0.1 of the way is gone, after two 0.19.
        step = value - before[path]
        np.testing.assert_allclose(
            after_both[path] - before[path], 1.9 * step, atol=1e-5
        )
        moved += np.abs(step).max() > 1e-3
    assert moved > 0


def test_image_and_text_both_matter():
    discriminator = tiny_discriminator()
    batch = embeddings_batch(1)
    images, text = batch["images"], batch["text_embeddings"]

    def score(images, text):
        pair = {"images": images, "text_embeddings": text}
        return float(discriminator(pair)[0, 0])

    start = score(images, text)
    assert abs(score(-images, text) - start) > 1e-7
    assert abs(score(images, -text) - start) > 1e-7


def test_config_round_trip():
    discriminator = Discriminator(
        64,
        width=3,
        fusion_size=4,
        as_released=True,
        text_embedding_dim=7,
        text_projection_dim=5,
        name="mine",
    )
    config = keras.saving.serialize_keras_object(discriminator)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == discriminator.get_config()
    assert copy.name == "mine"
    assert copy.as_released is True
    assert (copy.width, copy.fusion_size) == (3, 4)
    assert copy.count_params() == discriminator.count_params()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_precision_comes_back(policy, tmp_path):
    discriminator = tiny_discriminator(dtype=policy, as_released=True)
    discriminator.save(tmp_path / "discriminator.keras")
    copy = keras.saving.load_model(tmp_path / "discriminator.keras")
    assert copy.dtype_policy.name == policy
    layers = {
        layer.name: layer.dtype_policy.name
        for layer in copy.trunk.layers + copy.head.layers
        if not isinstance(layer, keras.layers.InputLayer)
    }
    assert layers.pop("logits") == "float32"
    assert set(layers.values()) == {policy}
    assert {weight.dtype for weight in copy.weights} == {"float32"}
    batch = embeddings_batch(2)
    del batch["mismatched_text_embeddings"]
    assert copy(batch).dtype == tf.float32
    np.testing.assert_array_equal(copy(batch), discriminator(batch))


def test_errors():
    with pytest.raises(ValueError, match="Received: 48"):
        Discriminator(48)
    with pytest.raises(ValueError, match="2 or 4. Received: 8"):
        Discriminator(64, fusion_size=8)
