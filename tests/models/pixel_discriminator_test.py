import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import PixelDiscriminator
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_pixel_discriminator

# Channels of the trunk's maps, the largest first, as multiples of the width.
CHANNELS = {
    32: {16: 2, 8: 4, 4: 8},
    64: {32: 1, 16: 2, 8: 4, 4: 8},
    128: {64: 0.5, 32: 1, 16: 2, 8: 4, 4: 8},
    256: {128: 0.25, 64: 0.5, 32: 1, 16: 2, 8: 4, 4: 8},
}


def _pairs(num_rows=4, seed=0):
    batch = embeddings_batch(num_rows, seed)
    del batch["mismatched_text_embeddings"]
    return {name: tf.constant(value) for name, value in batch.items()}


def test_layers_and_parameters():
    discriminator = PixelDiscriminator(64, width=32, text_embedding_dim=256)
    # By hand: 3x3 kernels and biases; one more channel before the last.
    trunk = {
        "convolution_32": 9 * 3 * 32 + 32,
        "convolution_16": 9 * 32 * 64 + 64,
        "convolution_8": 9 * 64 * 128 + 128,
        "convolution_4": 9 * 128 * 256 + 256,
        "minibatch_deviation": 0,
        "convolution": 9 * 257 * 256 + 256,
    }
    for name, count in trunk.items():
        layer = discriminator.trunk.get_layer(name)
        assert layer.count_params() == count
    assert discriminator.trunk.count_params() == sum(trunk.values())
    # The text's mean and deviation; its tiled projection and the 1x1
    # convolution of both; the logit; the two projections.
    head = 2 * 256 + 256 * 128 + 128 + 128 * 256 + 256 * 256 + 256
    head += 16 * 256 + 1 + 16 * 256 * 256 + 256 * 256
    assert discriminator.head.count_params() == head
    assert discriminator.count_params() == sum(trunk.values()) + head
    trained = sum(w.shape.num_elements() for w in _tensors(discriminator))
    assert trained == discriminator.count_params() - 2 * 256


def _tensors(model):
    return [weight.value for weight in model.trainable_variables]


@pytest.mark.parametrize("image_size", CHANNELS)
def test_image_sizes(image_size):
    discriminator = PixelDiscriminator(
        image_size, width=4, text_embedding_dim=16
    )
    for size, multiple in CHANNELS[image_size].items():
        layer = discriminator.trunk.get_layer(f"convolution_{size}")
        assert layer.output.shape == (None, size, size, 4 * multiple)
    assert discriminator.trunk.output_shape == (None, 4, 4, 32)


def test_config_round_trip(tmp_path):
    options = {
        "width": 3,
        "penalty_weight": 2.0,
        "penalty_interval": 8,
        "text_embedding_dim": 16,
        "text_projection_dim": 5,
        "projection_dim": 6,
    }
    discriminator = PixelDiscriminator(32, **options, name="mine")
    discriminator.save(tmp_path / "discriminator.keras")
    copy = keras.saving.load_model(tmp_path / "discriminator.keras")
    assert copy.get_config() == discriminator.get_config()
    assert copy.name == "mine"
    assert {name: getattr(copy, name) for name in options} == options
    np.testing.assert_array_equal(copy(_pairs()), discriminator(_pairs()))


def test_images_texts_and_the_batch_matter():
    discriminator = tiny_pixel_discriminator()
    pairs, other = _pairs(), _pairs(seed=1)
    logits = np.array(discriminator(pairs))
    assert logits.shape == (4, 1)
    for name in pairs:
        changed = discriminator({**pairs, name: other[name]})
        assert np.abs(changed - logits).min() > 1e-4
    # A batch of copies is told by their missing deviation.
    copies = {name: rows[:1] for name, rows in pairs.items()}
    alone = np.array(discriminator(copies))[0]
    assert np.abs(alone - logits[0]).max() > 1e-5


def test_the_penalty_is_that_of_its_weight_and_interval():
    discriminator = tiny_pixel_discriminator(
        penalty_weight=3.0, penalty_interval=5
    )
    pairs = _pairs()
    with tf.GradientTape() as tape:
        tape.watch(pairs["images"])
        logits = discriminator(pairs, training=True)
    gradient = tape.gradient(logits, pairs["images"])
    expected = 5 * 3.0 / 2 * np.square(gradient).sum(axis=(1, 2, 3)).mean()
    views = discriminator.views(pairs["images"])
    for step, factor in ((0, 1), (4, 0), (5, 1)):
        penalty = discriminator.regularization(
            views, pairs["text_embeddings"], tf.constant(step)
        )
        assert float(penalty) == pytest.approx(factor * expected, rel=1e-4)
    without = tiny_pixel_discriminator(penalty_weight=0.0)
    text = pairs["text_embeddings"]
    assert without.regularization(views, text, tf.constant(0)) == 0.0


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    discriminator = tiny_pixel_discriminator(dtype=policy)
    layer = discriminator.trunk.get_layer("convolution_8")
    assert layer.compute_dtype == policy.removeprefix("mixed_")
    exact = tiny_pixel_discriminator()
    exact.set_weights(discriminator.get_weights())
    logits = discriminator(_pairs())
    assert logits.dtype == tf.float32
    np.testing.assert_allclose(logits, exact(_pairs()), atol=0.1, rtol=0.1)


def test_other_image_sizes_are_refused():
    with pytest.raises(ValueError, match="Received: 48"):
        PixelDiscriminator(48)
