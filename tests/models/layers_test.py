import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.models.layers import batch_normalization
from keras_t2i.models.layers import convolution
from keras_t2i.models.layers import linear
from keras_t2i.models.layers import transposed_convolution


def _assert_normal(values, mean, stddev):
    values = np.array(values).ravel()
    # Five standard errors, which the fixed seed keeps from failing by chance.
    tolerance = 5 * stddev / np.sqrt(values.size)
    assert values.mean() == pytest.approx(mean, abs=tolerance)
    assert values.std() == pytest.approx(stddev, abs=tolerance)
    # Not cut off at two standard deviations, unlike Keras' truncated one.
    assert np.abs(values - mean).max() > 3 * stddev


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (convolution(32, 4, strides=2), (None, 8, 8, 32)),
        (transposed_convolution(32), (None, 8, 8, 32)),
    ],
)
def test_convolutions_start_normal_and_have_no_bias(layer, inputs):
    layer.build(inputs)
    assert len(layer.weights) == 1
    _assert_normal(layer.kernel, 0.0, 0.02)


def test_one_point_is_convolved_as_by_keras_with_the_same_gradients():
    layer = transposed_convolution(5, strides=1, padding="valid")
    layer.build((None, 1, 1, 3))
    plain = keras.layers.Conv2DTranspose(5, 4, use_bias=False)
    plain.build((None, 1, 1, 3))
    plain.kernel.assign(layer.kernel)
    points = tf.random.stateless_normal((2, 1, 1, 3), (0, 1))
    weights = tf.random.stateless_normal((2, 4, 4, 5), (0, 2))
    results = []
    for one in (layer, plain):
        with tf.GradientTape() as tape:
            tape.watch(points)
            maps = one(points)
            loss = tf.reduce_sum(weights * maps)
        gradients = tape.gradient(loss, [points, one.kernel.value])
        results.append([maps, *gradients])
    for ours, keras_own in zip(*results):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-4, atol=1e-6)
    assert results[0][0].shape == (2, 4, 4, 5)


def test_two_layers_start_from_different_weights():
    first, second = convolution(4, 4), convolution(4, 4)
    for layer in (first, second):
        layer.build((None, 8, 8, 4))
    assert np.abs(np.array(first.kernel) - np.array(second.kernel)).min() > 0


def test_batch_norm_starts_as_released():
    layer = batch_normalization()
    layer.build((None, 4, 4, 4096))
    _assert_normal(layer.gamma, 1.0, 0.02)
    np.testing.assert_array_equal(layer.beta, np.zeros(4096))
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(4096))
    np.testing.assert_array_equal(layer.moving_variance, np.ones(4096))
    assert layer.momentum == 0.9
    assert layer.epsilon == 1e-5


def test_linear_layers_start_as_those_of_torch():
    # U(-1/sqrt(100), 1/sqrt(100)), for the bias too.
    layer = linear(400, inputs_dim=100)
    layer.build((None, 100))
    for values in (np.array(layer.kernel), np.array(layer.bias)):
        assert np.abs(values).max() <= 0.1
        assert np.abs(values).max() > 0.099
        # The standard deviation of a uniform distribution of that width.
        assert values.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.1)


def test_convolutions_are_those_of_torch_with_a_padding_of_1():
    # Row r of the output reads the rows 2r - 1 to 2r + 2 of the input.
    layer = convolution(1, 4, strides=2)
    layer.build((None, 8, 8, 1))
    kernel = np.array(layer.kernel)[:, :, 0, 0]
    images = np.random.default_rng(0).normal(size=(8, 8)).astype("float32")
    padded = np.pad(images, 1)
    expected = [
        [
            np.sum(padded[2 * r : 2 * r + 4, 2 * c : 2 * c + 4] * kernel)
            for c in range(4)
        ]
        for r in range(4)
    ]
    outputs = layer(images[None, :, :, None])[0, :, :, 0]
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_transposed_convolutions_are_those_of_torch_with_a_padding_of_1():
    # One pixel at (1, 2) of 4x4 shows the kernel from (2 * 1 - 1, 2 * 2 - 1).
    layer = transposed_convolution(1)
    image = np.zeros((1, 4, 4, 1), "float32")
    image[0, 1, 2, 0] = 1.0
    outputs = np.array(layer(image))[0, :, :, 0]
    expected = np.zeros((8, 8), "float32")
    expected[1:5, 3:7] = np.array(layer.kernel)[:, :, 0, 0]
    np.testing.assert_allclose(outputs, expected, atol=1e-7)


def test_layers_keep_their_policy():
    for layer in (
        convolution(2, 4, dtype="mixed_bfloat16"),
        transposed_convolution(2, dtype="mixed_bfloat16"),
        batch_normalization(dtype="mixed_bfloat16"),
        linear(2, 4, dtype="mixed_bfloat16"),
    ):
        assert layer.dtype_policy.name == "mixed_bfloat16"
        config = keras.saving.serialize_keras_object(layer)
        copy = keras.saving.deserialize_keras_object(config)
        assert copy.dtype_policy.name == "mixed_bfloat16"
