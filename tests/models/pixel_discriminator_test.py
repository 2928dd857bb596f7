import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import PixelDiscriminator
from keras_t2i.models.pixel_discriminator import MinibatchDeviation
from keras_t2i.models.pixel_discriminator import gradient_penalty
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


# === Minibatch deviation ===


def test_minibatch_deviation_by_hand():
    # Pixel 1: 0 and 4 have a deviation of 2; pixel 2: 1 and 1 one of 0.
    inputs = np.array([[0.0, 1.0], [4.0, 1.0]], "float32")
    outputs = np.array(MinibatchDeviation()(inputs.reshape(2, 1, 2, 1)))
    assert outputs.shape == (2, 1, 2, 2)
    np.testing.assert_array_equal(outputs[..., 0].reshape(2, 2), inputs)
    # The mean of 2 and sqrt(1e-8).
    np.testing.assert_allclose(outputs[..., 1], 1.00005, rtol=1e-6)


def test_identical_images_have_next_to_no_deviation():
    image = np.random.default_rng(0).normal(size=(1, 4, 4, 3))
    inputs = np.repeat(image, 3, axis=0).astype("float32")
    outputs = np.array(MinibatchDeviation()(inputs))
    np.testing.assert_allclose(outputs[..., 3], 1e-4, rtol=1e-3)


def test_gradient_of_the_deviation_of_identical_images_is_finite():
    inputs = tf.ones((3, 2, 2, 1))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(MinibatchDeviation()(inputs)[..., 1])
    np.testing.assert_allclose(tape.gradient(loss, inputs), 0.0, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_squares_do_not_overflow_in_half_precision(policy):
    # 1000 ** 2 is more than float16 holds.
    inputs = np.array([-1000.0, 1000.0], "float32").reshape(2, 1, 1, 1)
    outputs = MinibatchDeviation(dtype=policy)(inputs)
    assert outputs.dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(
        tf.cast(outputs[..., 1], "float32"), 1000.0, rtol=0.01
    )


def test_each_device_has_the_deviation_of_its_rows(two_replicas):
    # Deviations of 2 on the first device, of 1 on the second.
    inputs = tf.constant([0.0, 4.0, 1.0, 3.0])[:, None, None, None]

    def step():
        context = tf.distribute.get_replica_context()
        first = 2 * context.replica_id_in_sync_group
        return MinibatchDeviation()(inputs[first : first + 2])[..., 1]

    outputs = tf.function(lambda: two_replicas.run(step))()
    for rows, expected in zip(
        two_replicas.experimental_local_results(outputs), (2.0, 1.0)
    ):
        np.testing.assert_allclose(rows, expected, rtol=1e-6)


def test_minibatch_deviation_has_shape_and_config():
    layer = MinibatchDeviation(name="mine")
    assert layer.compute_output_shape((None, 4, 4, 8)) == (None, 4, 4, 9)
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is MinibatchDeviation
    assert copy.get_config() == layer.get_config()


# === Gradient penalty ===


SHAPE = (4, 2, 2, 3)


def _images():
    return tf.constant(np.random.default_rng(0).normal(size=SHAPE), "float32")


def _direction():
    direction = np.random.default_rng(1).normal(size=SHAPE[1:])
    return tf.constant(direction, "float32")


def test_penalty_of_a_linear_logit():
    direction = _direction()

    def logits_of(images):
        return tf.reduce_sum(direction * images, axis=(1, 2, 3))[:, None]

    penalty = gradient_penalty(logits_of, _images(), 3.0, 16, tf.constant(32))
    # The gradient is the direction in all images.
    expected = 16 * 3.0 / 2 * np.square(direction).sum()
    assert float(penalty) == pytest.approx(expected, rel=1e-5)


def test_penalty_of_a_quadratic_logit_and_on_to_its_weights():
    scale = tf.Variable(0.5)

    def logits_of(images):
        return scale * tf.reduce_sum(images**2, axis=(1, 2, 3))[:, None]

    with tf.GradientTape() as tape:
        penalty = gradient_penalty(logits_of, _images(), 2.0, 4, tf.constant(0))
    # The gradient is 2 * scale * x, so the penalty 4 * 2 / 2 * 4 * scale^2 * q.
    q = np.square(_images()).sum(axis=(1, 2, 3)).mean()
    assert float(penalty) == pytest.approx(16 * 0.25 * q, rel=1e-5)
    gradient = tape.gradient(penalty, scale)
    assert float(gradient) == pytest.approx(16 * 2 * 0.5 * q, rel=1e-5)


def test_penalty_only_every_interval():
    @tf.function
    def penalty(step):
        return gradient_penalty(
            lambda images: tf.reduce_sum(images, axis=(1, 2, 3))[:, None],
            _images(),
            1.0,
            3,
            step,
        )

    values = [float(penalty(tf.constant(step))) for step in range(7)]
    # 3 * 1 / 2 * 12 ones.
    assert values == [18.0, 0.0, 0.0, 18.0, 0.0, 0.0, 18.0]


def test_penalties_of_two_devices_add_up(two_replicas):
    images = _images()

    def penalty(rows):
        return gradient_penalty(
            lambda images: tf.reduce_sum(images**2, axis=(1, 2, 3))[:, None],
            rows,
            1.0,
            1,
            tf.constant(5),
        )

    def step():
        context = tf.distribute.get_replica_context()
        first = 2 * context.replica_id_in_sync_group
        return penalty(images[first : first + 2])

    shares = tf.function(lambda: two_replicas.run(step))()
    first, second = two_replicas.experimental_local_results(shares)
    assert float(first) != float(second)
    assert float(first + second) == pytest.approx(float(penalty(images)), 1e-5)
