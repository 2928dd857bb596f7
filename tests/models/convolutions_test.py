import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.layers import BoxedConv2D
from keras_t2i.models.layers import BoxedConv2DTranspose
from keras_t2i.models.layers import SpectralConv2D

SHAPE = (2, 6, 6, 3)


def _spectral(**options):
    layer = SpectralConv2D(5, 4, strides=2, **options)
    layer.build(SHAPE)
    layer.bias.assign([1.0, 2.0, 3.0, 4.0, 5.0])
    return layer


def _inputs(seed=0):
    values = np.random.default_rng(seed).normal(size=SHAPE)
    return tf.constant(values, "float32")


def _largest_singular_value(layer):
    matrix = np.array(layer.kernel).reshape(-1, layer.filters)
    return np.linalg.svd(matrix, compute_uv=False)[0]


def _plain(layer, inputs, divisor):
    kernel = tf.constant(np.array(layer.kernel) / np.float32(divisor))
    return tf.nn.conv2d(inputs, kernel, 2, "SAME") + layer.bias


def test_the_largest_singular_value_tends_to_1():
    layer = _spectral()
    for _ in range(40):
        layer(_inputs(), training=True)
    outputs = layer(_inputs())
    assert outputs.shape == layer.compute_output_shape(SHAPE) == (2, 3, 3, 5)
    expected = _plain(layer, _inputs(), _largest_singular_value(layer))
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


def test_one_power_iteration_by_hand():
    layer = _spectral()
    matrix = np.array(layer.kernel, "float64").reshape(-1, 5)
    right = np.array(layer.singular_vector, "float64")[0]
    left = matrix @ right / np.linalg.norm(matrix @ right)
    outputs = layer(_inputs(), training=True)
    right = left @ matrix / np.linalg.norm(left @ matrix)
    np.testing.assert_allclose(layer.singular_vector[0], right, rtol=1e-5)
    expected = _plain(layer, _inputs(), left @ matrix @ right)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_the_gradient_passes_the_division():
    layer = _spectral()
    # Of the singular vectors, a small change has no effect on the value.
    matrix = np.array(layer.kernel).reshape(-1, layer.filters)
    layer.singular_vector.assign(np.linalg.svd(matrix)[2][:1])
    weights = np.random.default_rng(1).normal(size=(2, 3, 3, 5))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(weights * layer(_inputs()))
    gradient = np.array(tape.gradient(loss, layer.kernel.value), "float64")
    # A kernel twice as large gives the same outputs, so the loss is constant
    # in its direction.
    kernel = np.array(layer.kernel, "float64")
    along = (gradient * kernel).sum()
    assert abs(along) < 1e-4 * np.linalg.norm(gradient) * np.linalg.norm(kernel)
    # Across it: central differences of the exactly normalized convolution.
    direction = np.random.default_rng(2).normal(size=kernel.shape)

    def loss_at(kernel):
        matrix = kernel.reshape(-1, 5)
        kernel = kernel / np.linalg.svd(matrix, compute_uv=False)[0]
        outputs = tf.nn.conv2d(
            tf.cast(_inputs(), "float64"), tf.constant(kernel), 2, "SAME"
        )
        return float(tf.reduce_sum(weights * outputs))

    step = 1e-5
    slope = loss_at(kernel + step * direction)
    slope = (slope - loss_at(kernel - step * direction)) / (2 * step)
    assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-2)


def test_the_vector_is_not_trained_and_stays_in_inference():
    layer = _spectral()
    assert [weight.name for weight in layer.non_trainable_weights] == [
        "singular_vector"
    ]
    before = np.array(layer.singular_vector)
    layer(_inputs())
    np.testing.assert_array_equal(layer.singular_vector, before)
    layer(_inputs(), training=True)
    assert np.abs(layer.singular_vector - before).max() > 1e-3


def test_the_vector_is_saved(tmp_path):
    inputs = keras.Input(SHAPE[1:])
    model = keras.Model(inputs, _spectral(name="spectral")(inputs))
    for _ in range(2):
        model(_inputs(), training=True)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    layer = copy.get_layer("spectral")
    assert layer.get_config() == model.get_layer("spectral").get_config()
    assert (layer.filters, layer.kernel_size, layer.strides) == (5, 4, 2)
    np.testing.assert_array_equal(copy(_inputs()), model(_inputs()))
    # The next iteration is that which the saved model would have made.
    np.testing.assert_array_equal(
        copy(_inputs(), training=True), model(_inputs(), training=True)
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_divides_in_float32(policy):
    layer, exact = _spectral(dtype=policy), _spectral()
    exact.set_weights(layer.get_weights())
    outputs = layer(_inputs(), training=True)
    assert outputs.dtype == policy.removeprefix("mixed_")
    expected = exact(_inputs(), training=True)
    np.testing.assert_allclose(tf.cast(outputs, "float32"), expected, atol=0.05)
    np.testing.assert_array_equal(layer.singular_vector, exact.singular_vector)


def test_replicas_keep_one_vector(two_replicas):
    layer = _spectral()
    with two_replicas.scope():
        mirrored = _spectral()
    mirrored.set_weights(layer.get_weights())
    inputs = tf.concat([_inputs(0), _inputs(1)], axis=0)

    def step():
        context = tf.distribute.get_replica_context()
        first = 2 * context.replica_id_in_sync_group
        return mirrored(inputs[first : first + 2], training=True)

    run = tf.function(lambda: two_replicas.run(step))
    for _ in range(2):
        outputs = np.concatenate(two_replicas.experimental_local_results(run()))
        expected = layer(inputs, training=True)
        np.testing.assert_allclose(outputs, expected, atol=1e-5)
    values = two_replicas.experimental_local_results(
        mirrored.singular_vector.value
    )
    for value in values:
        np.testing.assert_allclose(value, layer.singular_vector, rtol=1e-5)


# === Boxed ===


EVEN_SHAPE = (2, 6, 8, 3)


def _even_inputs():
    return tf.constant(
        np.random.default_rng(0).normal(size=EVEN_SHAPE), "float32"
    )


def _boxed(layer):
    """The layer, built, with a bias that is not 0."""
    layer.build(EVEN_SHAPE)
    if layer.bias is not None:
        layer.bias.assign(np.arange(1.0, 1.0 + layer.filters))
    return layer


def _up_and_convolved(layer, x):
    x = tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)
    return tf.nn.conv2d(x, layer.kernel.value, 1, "SAME") + layer.bias


def _convolved_and_pooled(layer, x):
    x = tf.nn.conv2d(x, layer.kernel.value, 1, "SAME")
    batch, height, width, channels = x.shape
    x = tf.reshape(x, (batch, height // 2, 2, width // 2, 2, channels))
    return tf.reduce_mean(x, axis=(2, 4)) + layer.bias


@pytest.mark.parametrize(
    ("make", "separate", "shape"),
    [
        (BoxedConv2DTranspose, _up_and_convolved, (2, 12, 16, 5)),
        (BoxedConv2D, _convolved_and_pooled, (2, 3, 4, 5)),
    ],
)
def test_it_equals_two_operations(make, separate, shape):
    layer = _boxed(make(5))
    assert layer.kernel.shape == (3, 3, 3, 5)
    assert layer.compute_output_shape(EVEN_SHAPE) == shape
    inputs = _even_inputs()
    weights = np.random.default_rng(1).normal(size=shape)
    results = []
    for function in (layer, lambda x: separate(layer, x)):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(inputs)
            loss = tf.reduce_sum(weights * outputs)
        sources = [inputs, layer.kernel.value, layer.bias.value]
        results.append([outputs, *tape.gradient(loss, sources)])
    assert results[0][0].shape == shape
    for got, expected in zip(*results):
        assert np.abs(expected).max() > 0.5
        np.testing.assert_allclose(got, expected, atol=1e-5, rtol=1e-5)


def test_a_constant_map_gives_no_checkerboard():
    layer = _boxed(BoxedConv2DTranspose(4))
    outputs = np.array(layer(tf.ones(EVEN_SHAPE)))
    # But for the border, where zeros come in, all pixels have one value.
    inner = outputs[:, 1:-1, 1:-1]
    np.testing.assert_allclose(
        inner, np.broadcast_to(inner[:1, :1, :1], inner.shape), atol=1e-5
    )
    assert np.abs(outputs[:, 0] - outputs[:, 1]).max() > 1e-2


def test_the_gradient_to_the_image_has_no_checkerboard():
    layer = _boxed(BoxedConv2D(4))
    inputs = _even_inputs()
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs))
    inner = np.array(tape.gradient(loss, inputs))[:, 1:-1, 1:-1]
    np.testing.assert_allclose(
        inner, np.broadcast_to(inner[:1, :1, :1], inner.shape), atol=1e-5
    )


@pytest.mark.parametrize("make", [BoxedConv2D, BoxedConv2DTranspose])
def test_boxed_convolutions_come_back_from_their_config(make):
    layer = make(5, use_bias=False, kernel_initializer="ones", name="mine")
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is make
    assert copy.get_config() == layer.get_config()
    assert (copy.filters, copy.use_bias, copy.name) == (5, False, "mine")
    copy.build(EVEN_SHAPE)
    assert len(copy.weights) == 1
    np.testing.assert_array_equal(copy.kernel, np.ones((3, 3, 3, 5)))


@pytest.mark.parametrize("make", [BoxedConv2D, BoxedConv2DTranspose])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_boxed_convolutions_in_half_precision(make, policy):
    layer = _boxed(make(5, dtype=policy))
    exact = make(5)
    exact.build(EVEN_SHAPE)
    exact.set_weights(layer.get_weights())
    outputs = layer(_even_inputs())
    assert outputs.dtype == policy.removeprefix("mixed_")
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    np.testing.assert_allclose(
        tf.cast(outputs, "float32"), exact(_even_inputs()), atol=0.2
    )


def test_fans_are_those_of_the_3x3_convolution():
    for make in (BoxedConv2D, BoxedConv2DTranspose):
        layer = make(512)
        layer.build((None, 8, 8, 16))
        # He: a variance of 2 / (9 * 16 inputs).
        assert np.std(layer.kernel) == pytest.approx((2 / 144) ** 0.5, rel=0.02)
