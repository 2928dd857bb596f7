import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.datasets.images import to_model_range
from keras_t2i.datasets.images import to_uint8


def test_model_range_of_known_values():
    images = to_model_range(np.array([0, 51, 255], "uint8"))
    assert keras.backend.standardize_dtype(images.dtype) == "float32"
    np.testing.assert_allclose(images, [-1.0, -0.6, 1.0], atol=1e-6)


def test_every_level_survives_the_round_trip():
    levels = np.arange(256, dtype="uint8")
    np.testing.assert_array_equal(to_uint8(to_model_range(levels)), levels)


def test_uint8_rounds_clips_and_replaces_nan():
    # -0.9961 * 127.5 is 0.497 above black, -0.996 is 0.51 above.
    images = np.array(
        [-0.9961, -0.996, 1.7, -3.0, np.nan, np.inf, -np.inf], "float32"
    )
    result = keras.ops.convert_to_numpy(to_uint8(images))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, [0, 1, 255, 0, 128, 255, 0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_stays_within_its_own_rounding(dtype):
    levels = np.arange(256, dtype="uint8")
    halves = keras.ops.cast(to_model_range(levels), dtype)
    result = keras.ops.convert_to_numpy(to_uint8(halves)).astype(int)
    exact = np.asarray(keras.ops.cast(halves, "float32"), "float64")
    np.testing.assert_array_equal(result, np.round((exact + 1) * 127.5))


def test_same_inside_a_tf_function():
    images = np.linspace(-1.2, 1.2, 1000, dtype="float32")
    traced = tf.function(lambda images: to_model_range(to_uint8(images)))
    np.testing.assert_array_equal(
        traced(tf.constant(images)), to_model_range(to_uint8(images))
    )
