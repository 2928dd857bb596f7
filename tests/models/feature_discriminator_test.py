import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import FeatureDiscriminator
from keras_t2i.applications.feature_networks import feature_network
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import embeddings_batch
from tests.tiny_models import tiny_feature_discriminator


def _pairs(num_rows=2, seed=0):
    batch = embeddings_batch(num_rows, seed)
    del batch["mismatched_text_embeddings"]
    return {name: tf.constant(value) for name, value in batch.items()}


@pytest.fixture(scope="module")
def tiny():
    keras.utils.set_random_seed(0)
    return tiny_feature_discriminator()


def test_layers_and_parameters():
    discriminator = FeatureDiscriminator(64, width=128, text_embedding_dim=256)
    # Images are seen at 96 pixels, in maps of 24, 12, 6 and 3.
    maps = [(24, 32), (12, 48), (6, 96), (3, 192)]
    assert [
        (tensor.shape[1], tensor.shape[3])
        for tensor in discriminator.trunk.inputs
    ] == maps
    total = 0
    for level, (size, channels) in enumerate(maps):
        # 4x4 convolutions of stride 2 down to 3x3, or one of 3x3; each with
        # a bias and a singular vector.
        if size == 3:
            total += 9 * channels * 128 + 2 * 128
        while size > 3:
            total += 16 * channels * 128 + 2 * 128
            size, channels = size // 2, 128
        output = discriminator.trunk.outputs[level]
        assert output.shape == (None, 3, 3, 128)
    assert discriminator.trunk.count_params() == total
    # The mean and deviation of the text are there once.
    head = 256 * 128 + 128 + 128 * 128 + 128 * 128 + 128 + 9 * 128 + 1
    head += 9 * 128 * 256 + 256 * 256
    assert discriminator.head.count_params() == 4 * head + 2 * 256
    assert discriminator.count_params() == total + 4 * head + 2 * 256
    assert discriminator.output_shape == (None, 4)


def test_larger_images_are_seen_at_128_pixels():
    discriminator = FeatureDiscriminator(256, width=4, text_embedding_dim=16)
    shapes = [tensor.shape[1] for tensor in discriminator.trunk.inputs]
    assert shapes == [32, 16, 8, 4]


def test_mixed_maps_by_hand():
    discriminator = tiny_feature_discriminator()
    images = _pairs()["images"]
    maps = feature_network("efficientnet_lite0", 32)(images)
    generator = np.random.default_rng(0)
    expected, smaller = [], None
    for found, channels in zip(maps[::-1], (192, 96, 48, 32)):
        inputs = found.shape[-1]
        kernel = generator.normal(0, inputs**-0.5, (inputs, channels))
        mixed = np.array(found) @ kernel
        if smaller is not None:
            inputs = smaller.shape[-1]
            shape = (3, 3, inputs, channels)
            kernel = generator.normal(0, (9 * inputs) ** -0.5, shape)
            smaller = tf.nn.conv2d(smaller, np.float32(kernel), 1, "SAME")
            smaller = tf.image.resize(smaller, mixed.shape[1:3])
            mixed = mixed + smaller
        smaller = tf.constant(mixed, "float32")
        expected.insert(0, smaller)
    views = discriminator.views(images)
    assert [view.shape[1:] for view in views] == [
        (8, 8, 32),
        (4, 4, 48),
        (2, 2, 96),
        (1, 1, 192),
    ]
    for view, value in zip(views, expected):
        assert np.std(value) > 0.1
        np.testing.assert_allclose(view, value, rtol=1e-3, atol=1e-3)


def test_features_are_not_trained(tiny):
    trained = {id(w) for w in tiny.trunk.weights + tiny.head.weights}
    assert {id(weight) for weight in tiny.weights} == trained
    pairs = _pairs()
    views = tiny.views(pairs["images"])
    with tf.GradientTape() as tape:
        tape.watch(pairs["images"])
        loss = tf.reduce_sum(tiny(pairs, training=True) ** 2)
    variables = [w.value for w in tiny.trainable_variables]
    *gradients, to_images = tape.gradient(loss, [*variables, pairs["images"]])
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    # They pass through the features to the images.
    assert np.abs(to_images).max() > 0
    for view, again in zip(views, tiny.views(pairs["images"])):
        np.testing.assert_array_equal(view, again)


def test_a_saved_file_holds_the_heads_alone(tiny, tmp_path):
    tiny(_pairs(), training=True)
    path = tmp_path / "discriminator.keras"
    tiny.save(path)
    # The network alone has 13 MB.
    assert path.stat().st_size < 500_000
    tiny.save_weights(tmp_path / "a.weights.h5")
    sizes = []
    with h5py.File(tmp_path / "a.weights.h5") as file:
        file.visititems(
            lambda _, item: (
                sizes.append(item.size)
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    assert sum(sizes) == tiny.count_params()
    copy = keras.saving.load_model(path)
    assert copy.get_config() == tiny.get_config()
    # The same network, the same random convolutions, the same heads.
    np.testing.assert_array_equal(copy(_pairs()), tiny(_pairs()))


def test_the_seed_is_that_of_the_random_convolutions(tiny):
    images = _pairs()["images"]
    other = tiny_feature_discriminator(projection_seed=1)
    for view, other_view in zip(tiny.views(images), other.views(images)):
        assert np.abs(view - other_view).max() > 0.1


def test_images_and_texts_matter(tiny):
    pairs, other = _pairs(), _pairs(seed=1)
    logits = np.array(tiny(pairs))
    assert logits.shape == (2, 4)
    for name in pairs:
        changed = tiny({**pairs, name: other[name]})
        assert np.abs(changed - logits).min() > 1e-4
    assert tiny.regularization(None, None, 0) == 0.0


def test_xla_does_not_compile_what_makes_images_smaller(tiny):
    tiny.jit_compile = True
    assert tiny.jit_compile
    tiny.jit_compile = False
    smaller = FeatureDiscriminator(
        128, width=4, network_size=96, text_embedding_dim=16
    )
    with pytest.warns(UserWarning, match="doesn't support `jit_compile"):
        smaller.jit_compile = True
    assert not smaller.jit_compile


def test_features_are_float32_in_half_precision(tiny):
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    half = tiny_feature_discriminator()
    half.set_weights(tiny.get_weights())
    layer = half.trunk.get_layer("map_0_convolution_0")
    assert layer.compute_dtype == "bfloat16"
    images = _pairs()["images"]
    for view, exact in zip(half.views(images), tiny.views(images)):
        assert view.dtype == tf.float32
        np.testing.assert_array_equal(view, exact)
    logits = half(_pairs())
    assert logits.dtype == tf.float32
    np.testing.assert_allclose(logits, tiny(_pairs()), atol=0.1, rtol=0.1)


def test_errors():
    options = {"width": 4, "text_embedding_dim": EMBEDDING_DIM}
    with pytest.raises(ValueError, match="Received: 48"):
        FeatureDiscriminator(48, **options)
    with pytest.raises(ValueError, match="of 32 pixels. Received: 100"):
        FeatureDiscriminator(32, network_size=100, **options)
    with pytest.raises(ValueError, match="Received: 'AlexNet'"):
        FeatureDiscriminator(32, network="AlexNet", **options)
