import keras
import numpy as np
import pytest

from keras_t2i.models.modulation import Modulation


def _made(**options):
    layer = Modulation(**options)
    layer.build([(None, 2, 2, 2), (None, 3)])
    return layer


def test_by_hand():
    layer = _made()
    kernel = np.zeros((3, 4), "float32")
    # Of the vector (1, 2, 3): gamma = (1, 6), beta = (2, 0).
    kernel[0, 0], kernel[2, 1], kernel[1, 2] = 1.0, 2.0, 1.0
    layer.dense.set_weights([kernel, np.array([0.0, 0.0, 0.0, 5.0])])
    maps = np.arange(16, dtype="float32").reshape(2, 2, 2, 2)
    vectors = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], "float32")
    outputs = np.array(layer([maps, vectors]))
    np.testing.assert_allclose(outputs[0, ..., 0], 2 * maps[0, ..., 0] + 2)
    np.testing.assert_allclose(outputs[0, ..., 1], 7 * maps[0, ..., 1] + 5)
    # Without a vector: the map itself, and the bias of the offset.
    np.testing.assert_allclose(outputs[1, ..., 0], maps[1, ..., 0])
    np.testing.assert_allclose(outputs[1, ..., 1], maps[1, ..., 1] + 5)


def test_it_starts_near_the_identity():
    layer = Modulation()
    layer.build([(None, 4, 4, 128), (None, 200)])
    assert np.std(layer.dense.kernel) == pytest.approx(0.02, rel=0.02)
    np.testing.assert_array_equal(layer.dense.bias, np.zeros(256))


def test_shape_and_config():
    layer = _made(name="mine", dtype="mixed_bfloat16")
    shapes = [(None, 2, 2, 2), (None, 3)]
    assert layer.compute_output_shape(shapes) == shapes[0]
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is Modulation
    assert copy.get_config() == layer.get_config()
    outputs = layer([np.ones((1, 2, 2, 2)), np.ones((1, 3))])
    assert outputs.dtype == "bfloat16"
    assert {weight.dtype for weight in layer.weights} == {"float32"}
