import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import LinearDecay
from keras_t2i.linear_decay import linear_decays
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_joint_embedding


def _rates(decay, steps):
    return [float(decay(step)) for step in steps]


def test_values():
    decay = LinearDecay(0.5, first_step=4, last_step=8)
    assert _rates(decay, range(10)) == [
        *(0.5, 0.5, 0.5, 0.5, 0.5),
        *(0.375, 0.25, 0.125, 0.0, 0.0),
    ]


def test_constant_until_it_is_told():
    decay = LinearDecay(0.1)
    assert (decay.first_step, decay.last_step) == (None, None)
    rates = _rates(decay, (0, 10, 10**9))
    assert rates == [np.float32(0.1)] * 3
    decay.set_steps(10, 20)
    assert float(decay(15)) == pytest.approx(0.05)
    decay.set_steps(None, None)
    assert _rates(decay, (0, 10, 10**9)) == rates


def test_a_fall_without_steps():
    assert _rates(LinearDecay(0.5, 3, 3), (2, 3, 4)) == [0.5, 0.0, 0.0]


def test_steps_that_are_large():
    decay = LinearDecay(1.0, 10**10, 10**10 + 4)
    assert float(decay(10**10 + 1)) == 0.75


def test_is_under_way():
    decay = LinearDecay(1.0, 4, 6)
    under_way = [decay.is_under_way(step) for step in (3, 4, 5, 6)]
    assert under_way == [False, True, True, False]
    assert not LinearDecay(1.0).is_under_way(4)


@pytest.mark.parametrize("steps", [(4, 3), (-1, 3), (None, 3), (3, None)])
def test_bad_steps(steps):
    match = f"in this order.*Received: {steps[0]} and {steps[1]}"
    with pytest.raises(ValueError, match=match):
        LinearDecay(1.0, *steps)
    decay = LinearDecay(1.0, 1, 2)
    with pytest.raises(ValueError, match=match):
        decay.set_steps(*steps)
    assert (decay.first_step, decay.last_step) == (1, 2)


def test_config_has_the_steps_of_now():
    decay = LinearDecay(0.25)
    decay.set_steps(3, 7)
    serialized = keras.saving.serialize_keras_object(decay)
    assert serialized["registered_name"] == "keras_t2i>LinearDecay"
    copy = keras.saving.deserialize_keras_object(serialized)
    assert copy.get_config() == {
        "initial_learning_rate": 0.25,
        "first_step": 3,
        "last_step": 7,
    }


def _falling_model(decay, **compile_arguments):
    """A weight that each step lowers by the learning rate."""
    inputs = keras.Input((1,))
    outputs = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(
        inputs
    )
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(decay),
        lambda y_true, y_pred: y_pred,
        **compile_arguments,
    )
    return model


def _fit(model, num_steps):
    ones = np.ones((num_steps, 1), "float32")
    model.fit(ones, ones, batch_size=1, verbose=0)


def _weight(model):
    return float(model.weights[0][0, 0])


def test_a_traced_step_sees_the_change():
    decay = LinearDecay(1.0)
    traced = []

    @tf.function
    def rate(step):
        traced.append(step)
        return decay(step)

    rates = [float(rate(tf.constant(5)))]
    decay.set_steps(4, 8)
    rates.append(float(rate(tf.constant(5))))
    decay.set_steps(None, None)
    rates.append(float(rate(tf.constant(5))))
    assert rates == [1.0, 0.75, 1.0]
    assert len(traced) == 1


def test_fit_sees_the_change():
    decay = LinearDecay(1.0)
    model = _falling_model(decay)
    _fit(model, 4)
    assert _weight(model) == -4.0
    decay.set_steps(4, 8)
    _fit(model, 5)
    assert _weight(model) == -4.0 - (1.0 + 0.75 + 0.5 + 0.25)


def test_a_file_goes_on_in_the_middle(tmp_path):
    decay = LinearDecay(1.0)
    joint_embedding = tiny_joint_embedding()
    joint_embedding.compile(keras.optimizers.SGD(decay))
    decay.set_steps(3, 7)
    joint_embedding.optimizer.iterations.assign(5)
    joint_embedding.save(tmp_path / "a.keras")
    copy = keras.saving.load_model(tmp_path / "a.keras")
    (loaded,) = linear_decays(copy)
    assert loaded.get_config() == decay.get_config()
    assert loaded is not decay
    assert float(copy.optimizer.learning_rate) == 0.5


def test_the_decays_of_a_gan():
    decays = [LinearDecay(1e-3), LinearDecay(2e-3)]
    gan = tiny_gan()
    gan.compile(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(decays[0])),
        keras.optimizers.Adam(decays[1]),
    )
    assert linear_decays(gan) == decays


def test_models_without():
    gan = tiny_gan()
    gan.compile()
    assert linear_decays(gan) == []
    assert linear_decays(keras.Sequential()) == []
