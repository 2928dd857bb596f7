import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.boxed_convolutions import BoxedConv2D
from keras_t2i.models.boxed_convolutions import BoxedConv2DTranspose

SHAPE = (2, 6, 8, 3)


def _inputs():
    return tf.constant(np.random.default_rng(0).normal(size=SHAPE), "float32")


def _made(layer):
    """The layer, built, with a bias that is not 0."""
    layer.build(SHAPE)
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
    layer = _made(make(5))
    assert layer.kernel.shape == (3, 3, 3, 5)
    assert layer.compute_output_shape(SHAPE) == shape
    inputs = _inputs()
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
    layer = _made(BoxedConv2DTranspose(4))
    outputs = np.array(layer(tf.ones(SHAPE)))
    # But for the border, where zeros come in, all pixels have one value.
    inner = outputs[:, 1:-1, 1:-1]
    np.testing.assert_allclose(
        inner, np.broadcast_to(inner[:1, :1, :1], inner.shape), atol=1e-5
    )
    assert np.abs(outputs[:, 0] - outputs[:, 1]).max() > 1e-2


def test_the_gradient_to_the_image_has_no_checkerboard():
    layer = _made(BoxedConv2D(4))
    inputs = _inputs()
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs))
    inner = np.array(tape.gradient(loss, inputs))[:, 1:-1, 1:-1]
    np.testing.assert_allclose(
        inner, np.broadcast_to(inner[:1, :1, :1], inner.shape), atol=1e-5
    )


@pytest.mark.parametrize("make", [BoxedConv2D, BoxedConv2DTranspose])
def test_config_round_trip(make):
    layer = make(5, use_bias=False, kernel_initializer="ones", name="mine")
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is make
    assert copy.get_config() == layer.get_config()
    assert (copy.filters, copy.use_bias, copy.name) == (5, False, "mine")
    copy.build(SHAPE)
    assert len(copy.weights) == 1
    np.testing.assert_array_equal(copy.kernel, np.ones((3, 3, 3, 5)))


@pytest.mark.parametrize("make", [BoxedConv2D, BoxedConv2DTranspose])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(make, policy):
    layer = _made(make(5, dtype=policy))
    exact = make(5)
    exact.build(SHAPE)
    exact.set_weights(layer.get_weights())
    outputs = layer(_inputs())
    assert outputs.dtype == policy.removeprefix("mixed_")
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    np.testing.assert_allclose(
        tf.cast(outputs, "float32"), exact(_inputs()), atol=0.2
    )


def test_fans_are_those_of_the_3x3_convolution():
    for make in (BoxedConv2D, BoxedConv2DTranspose):
        layer = make(512)
        layer.build((None, 8, 8, 16))
        # He: a variance of 2 / (9 * 16 inputs).
        assert np.std(layer.kernel) == pytest.approx((2 / 144) ** 0.5, rel=0.02)
