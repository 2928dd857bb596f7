import keras
import numpy as np
import pytest

from keras_t2i.text.recurrence import GatedRecurrence
from keras_t2i.text.recurrence import ReLURecurrence
from tests.tiny_models import randomize

UNITS = 3
FEATURES = 4
RECURRENCES = {"relu": ReLURecurrence, "gated": GatedRecurrence}


@pytest.fixture(params=RECURRENCES)
def layer(request):
    layer = RECURRENCES[request.param](UNITS)
    layer.build((None, 5, FEATURES))
    randomize(layer)
    return layer


@pytest.fixture
def inputs():
    generator = np.random.default_rng(0)
    return generator.normal(size=(2, 5, FEATURES)).astype("float32")


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _relu_steps(x, layer):
    w, u, b, b_u = (np.array(weight) for weight in layer.weights)
    h = np.maximum(x[:, 0] @ w + b, 0)
    steps = [h]
    for t in range(1, x.shape[1]):
        h = np.maximum(x[:, t] @ w + b + h @ u + b_u, 0)
        steps.append(h)
    return np.stack(steps, 1)


def _gated_steps(x, layer):
    # Update gate, reset gate and candidate, one matrix each.
    w, u = (np.split(np.array(layer.weights[i]), 3, axis=1) for i in (0, 1))
    b, b_u = (np.split(np.array(layer.weights[i]), 3) for i in (2, 3))
    h = np.tanh(x[:, 0] @ w[2] + b[2])
    steps = [h]
    for t in range(1, x.shape[1]):
        update = _sigmoid(x[:, t] @ w[0] + b[0] + h @ u[0] + b_u[0])
        reset = _sigmoid(x[:, t] @ w[1] + b[1] + h @ u[1] + b_u[1])
        candidate = (reset * h) @ u[2] + b_u[2]
        candidate = np.tanh(x[:, t] @ w[2] + b[2] + candidate)
        h = update * candidate + (1 - update) * h
        steps.append(h)
    return np.stack(steps, 1)


def test_steps_follow_the_formula(layer, inputs):
    formula = {
        ReLURecurrence: _relu_steps,
        GatedRecurrence: _gated_steps,
    }[type(layer)]
    expected = formula(inputs, layer)
    assert expected.shape == (2, 5, UNITS)
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-6)


def test_first_step_has_no_hidden_term(layer, inputs):
    first = np.array(layer(inputs))[:, 0]
    layer.recurrent_kernel.assign(100 * layer.recurrent_kernel)
    layer.recurrent_bias.assign(100 + layer.recurrent_bias)
    outputs = np.array(layer(inputs))
    np.testing.assert_array_equal(outputs[:, 0], first)
    # One step is a plain layer.
    np.testing.assert_allclose(layer(inputs[:, :1])[:, 0], first, atol=1e-6)


def test_a_step_does_not_see_later_ones(layer, inputs):
    outputs = np.array(layer(inputs))
    inputs[:, 3:] += 1
    changed = np.array(layer(inputs))
    np.testing.assert_array_equal(changed[:, :3], outputs[:, :3])
    assert (changed[:, 4] != outputs[:, 4]).any(axis=-1).all()


def test_gated_recurrence_is_the_gru_of_keras_after_the_first_step(inputs):
    layer = GatedRecurrence(UNITS)
    layer.build(inputs.shape)
    randomize(layer)
    w, u, b, b_u = (np.array(weight) for weight in layer.weights)
    # Keras' update gate keeps the old state: its sign is the other one.
    sign = np.repeat([-1.0, 1.0, 1.0], UNITS).astype("float32")
    gru = keras.layers.GRU(UNITS, reset_after=False, return_sequences=True)
    gru.build(inputs.shape)
    gru.set_weights([w * sign, u * sign, (b + b_u) * sign])
    outputs = np.array(layer(inputs))
    expected = gru(inputs[:, 1:], initial_state=outputs[:, 0])
    np.testing.assert_allclose(outputs[:, 1:], expected, atol=1e-6)


def test_config_round_trip(layer):
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
    assert copy.units == UNITS
