import keras
import numpy as np
import pytest

from keras_t2i.models.text_standardization import TextStandardization
from keras_t2i.models.text_standardization import standardizations_of

# Means 2 and -1, deviations 1 and 2; the last number never varies.
TEXTS = np.array([[1.0, 1.0, 7.0], [3.0, -3.0, 7.0]], "float32")


def _model():
    inputs = keras.Input((3,))
    layer = TextStandardization(name="standardized")
    return keras.Model(inputs, layer(inputs)), layer


def test_new_layers_change_nothing():
    model, layer = _model()
    np.testing.assert_array_equal(model(TEXTS), TEXTS)
    assert layer.trainable_weights == []


def test_by_hand():
    _, layer = _model()
    layer.adapt(TEXTS)
    np.testing.assert_allclose(
        layer(TEXTS), [[-1.0, 1.0, 0.0], [1.0, -1.0, 0.0]], atol=1e-6
    )
    np.testing.assert_allclose(layer(np.array([[5.0, -1.0, 7.0]])), [[3, 0, 0]])


def test_what_never_varied_does_not_become_huge():
    _, layer = _model()
    layer.adapt(TEXTS)
    outputs = np.array(layer(np.array([[2.0, -1.0, 7.25]])))
    np.testing.assert_allclose(outputs, [[0.0, 0.0, 0.25]], atol=1e-6)


def test_mean_and_deviation_are_saved(tmp_path):
    model, layer = _model()
    layer.adapt(TEXTS)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(TEXTS + 1), model(TEXTS + 1))
    (found,) = standardizations_of(copy)
    np.testing.assert_array_equal(found.mean, [2.0, -1.0, 7.0])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_difference_is_taken_in_float32(policy):
    layer = TextStandardization(dtype=policy)
    # Two numbers that are one in half precision.
    texts = np.array([[1000.0], [1000.25]], "float32")
    layer.build(texts.shape)
    layer.adapt(texts)
    outputs = layer(texts)
    assert outputs.dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(np.array(outputs, "float32"), [[-1.0], [1.0]])
