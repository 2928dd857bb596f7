import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import LinearDecay
from keras_t2i.callbacks import BeginDecay
from keras_t2i.callbacks import Checkpoints
from keras_t2i.callbacks import RunRecorder
from keras_t2i.callbacks import StopAfter
from keras_t2i.callbacks import recording
from keras_t2i.linear_decay import linear_decays
from tests.callbacks.stepping_model import fit
from tests.callbacks.stepping_model import stepping_model


@pytest.fixture
def recorder(tmp_path):
    return RunRecorder(tmp_path / "metrics.jsonl", 100, every_steps=4)


def _steps_taken(stop, recorder):
    model = stepping_model()
    fit(model, [recorder, stop], num_steps=20)
    return int(model.count)


def test_steps_until_the_end(recorder):
    stop = StopAfter(recorder, steps=7)
    assert _steps_taken(stop, recorder) == 7


def test_steps_are_a_total(recorder):
    stop = StopAfter(recorder, steps=47, first_step=40)
    assert _steps_taken(stop, recorder) == 7


def test_without_a_limit_it_does_not_stop(recorder):
    assert _steps_taken(StopAfter(recorder), recorder) == 20


def test_minutes_end_with_a_line(tmp_path):
    recorder = RunRecorder(
        tmp_path / "a", 100, every_steps=4, first_seconds=61.0
    )
    # The minute is over before the first step already.
    stop = StopAfter(recorder, minutes=1.0)
    assert _steps_taken(stop, recorder) == 4


def test_minutes_that_are_not_over(recorder):
    stop = StopAfter(recorder, minutes=60.0)
    assert _steps_taken(stop, recorder) == 20


def test_a_request_ends_with_a_line(recorder):
    class RequestAtStep5(StopAfter):
        def on_step_end(self, step, logs):
            if step == 5:
                self.request()
            super().on_step_end(step, logs)

    assert _steps_taken(RequestAtStep5(recorder), recorder) == 8


def test_steps_in_place_of_the_clock(tmp_path):
    recorder = RunRecorder(
        tmp_path / "a", 100, every_steps=4, first_seconds=61.0
    )

    class SevenSteps(StopAfter):
        def on_train_begin(self, logs=None):
            self.end_after(7)

    stop = SevenSteps(recorder, minutes=1.0)
    assert _steps_taken(stop, recorder) == 7
    assert (stop.steps, stop.minutes) == (7, None)


class _Clock(keras.callbacks.Callback):
    """Tells the recorder that each step took a second."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def on_train_batch_end(self, batch, logs=None):
        self.now += 1.0


@pytest.fixture
def clock(monkeypatch):
    clock = _Clock()
    monkeypatch.setattr(
        recording, "time", types.SimpleNamespace(monotonic=clock.monotonic)
    )
    return clock


def _model():
    """A weight that each step lowers by the learning rate, 1 at first."""
    inputs = keras.Input((1,))
    outputs = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(
        inputs
    )
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(LinearDecay(1.0)), _output)
    return model


@keras.saving.register_keras_serializable("tests")
def _output(y_true, y_pred):
    return y_pred


def _fit(model, clock, path, first=0, until=None, more=(), **duration):
    """Trains to the end or, interrupted, for some steps; returns the recorder.

    Lines are written every ten steps.
    """
    recorder = RunRecorder(path, 10, first_step=first, first_seconds=first)
    stop = StopAfter(recorder, first_step=first, **duration)
    ones = tf.data.Dataset.from_tensors((np.ones((1, 1)), np.ones((1, 1))))
    model.fit(
        ones.repeat(1000 if until is None else until - first),
        verbose=0,
        shuffle=False,
        callbacks=[
            clock,
            recorder,
            BeginDecay(stop, 0.2, first_step=first),
            stop,
            *more,
        ],
    )
    return recorder


def _state(model):
    (decay,) = linear_decays(model)
    return {
        "weight": float(model.weights[0][0, 0]),
        "steps": int(model.optimizer.iterations),
        "decay": (decay.first_step, decay.last_step),
    }


# 0.95 + 0.9 + ... + 0.05
_FALL = 19 / 2


def test_steps_of_a_decay(tmp_path, clock):
    model = _model()
    _fit(model, clock, tmp_path / "metrics", steps=100)
    state = _state(model)
    assert state["weight"] == pytest.approx(-80 - 1 - _FALL)
    assert (state["steps"], state["decay"]) == (100, (80, 100))


def test_minutes(tmp_path, clock):
    model = _model()
    # Four fifths of 97 seconds are over after step 78, and seen after step 80.
    recorder = _fit(model, clock, tmp_path / "metrics", minutes=97 / 60)
    state = _state(model)
    # What is left, at a step a second.
    assert (state["steps"], state["decay"]) == (97, (80, 97))
    assert recorder.recorded_seconds == 97.0
    assert state["weight"] == pytest.approx(-80 - 1 - 16 / 2)


@pytest.mark.parametrize(
    ("until", "duration"),
    [
        (5, {"minutes": 100 / 60}),
        (80, {"minutes": 100 / 60}),
        (85, {"minutes": 100 / 60}),
        (50, {"steps": 100}),
        (85, {"steps": 100}),
    ],
)
def test_an_interruption_changes_nothing(tmp_path, clock, until, duration):
    whole = _model()
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    _fit(whole, clock, tmp_path / "whole" / "a", **duration)
    model = _model()
    path = tmp_path / "parts" / "a"
    _fit(model, clock, path, until=until, **duration)
    model.save(tmp_path / "half.keras")
    model = keras.saving.load_model(tmp_path / "half.keras")
    _fit(model, clock, path, first=until, **duration)
    assert _state(model) == _state(whole)
    assert _state(model)["decay"] == (80, 100)


def test_a_checkpoint_of_its_first_step_has_it(tmp_path, clock):
    model = _model()
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    duration = {"until": 80, "minutes": 100 / 60}
    _fit(model, clock, tmp_path / "a", more=[checkpoints], **duration)
    file = tmp_path / "checkpoints" / "step-00000080.keras"
    (decay,) = linear_decays(keras.saving.load_model(file))
    assert (decay.first_step, decay.last_step) == (80, 100)


def test_a_decay_under_way_ends_whatever_the_clock_says(tmp_path, clock):
    model = _model()
    _fit(model, clock, tmp_path / "a", until=85, minutes=100 / 60)
    # As if the steps so far had taken three minutes.
    recorder = RunRecorder(
        tmp_path / "a", 10, first_step=85, first_seconds=180.0
    )
    stop = StopAfter(recorder, minutes=100 / 60, first_step=85)
    ones = tf.data.Dataset.from_tensors((np.ones((1, 1)), np.ones((1, 1))))
    model.fit(
        ones.repeat(),
        verbose=0,
        shuffle=False,
        callbacks=[recorder, BeginDecay(stop, 0.2, first_step=85), stop],
    )
    assert _state(model)["steps"] == 100


def test_more_minutes_begin_another_one(tmp_path, clock):
    model = _model()
    _fit(model, clock, tmp_path / "a", minutes=100 / 60)
    _fit(model, clock, tmp_path / "a", first=100, minutes=200 / 60)
    state = _state(model)
    assert (state["steps"], state["decay"]) == (200, (160, 200))
    # 0.975 + 0.95 + ... + 0.025.
    expected = -81 - _FALL - 60 - 1 - 39 / 2
    assert state["weight"] == pytest.approx(expected)


def test_more_minutes_than_the_decay_but_few(tmp_path, clock):
    model = _model()
    _fit(model, clock, tmp_path / "a", minutes=100 / 60)
    # Four fifths of it are over: the rest of it is what is left.
    _fit(model, clock, tmp_path / "a", first=100, minutes=120 / 60)
    state = _state(model)
    assert (state["steps"], state["decay"]) == (120, (110, 120))


def test_minutes_in_place_of_steps(tmp_path, clock):
    model = _model()
    _fit(model, clock, tmp_path / "a", until=20, steps=100)
    assert _state(model)["decay"] == (80, 100)
    _fit(model, clock, tmp_path / "a", first=20, minutes=50 / 60)
    assert _state(model)["decay"] == (40, 50)
    assert _state(model)["steps"] == 50


def test_steps_in_place_of_minutes(tmp_path, clock):
    model = _model()
    _fit(model, clock, tmp_path / "a", until=85, minutes=100 / 60)
    _fit(model, clock, tmp_path / "a", first=85, steps=200)
    assert _state(model)["decay"] == (160, 200)
    assert _state(model)["steps"] == 200


def test_nothing_is_traced_again(tmp_path, clock):
    traced = []

    @keras.saving.register_keras_serializable("tests")
    class Traced(keras.losses.Loss):
        def call(self, y_true, y_pred):
            traced.append(y_pred)
            return y_pred

    model = _model()
    model.compile(keras.optimizers.SGD(LinearDecay(1.0)), Traced())
    _fit(model, clock, tmp_path / "a", until=79, minutes=100 / 60)
    before = len(traced)
    assert before > 0
    _fit(model, clock, tmp_path / "b", first=79, minutes=100 / 60)
    assert _state(model)["decay"] == (80, 100)
    assert len(traced) == before


@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_bad_share(tmp_path, share):
    stop = StopAfter(RunRecorder(tmp_path / "a", 10))
    with pytest.raises(ValueError, match=f"Received: {share}"):
        BeginDecay(stop, share)


def test_optimizers_without_a_decay(tmp_path, clock):
    model = _model()
    model.compile("sgd", _output)
    with pytest.raises(ValueError, match="with a `LinearDecay`. Received: no"):
        _fit(model, clock, tmp_path / "a", steps=2)


def test_optimizers_without_the_steps_before(tmp_path, clock):
    model = _model()
    with pytest.raises(
        ValueError, match="`first_step`.*Received: 100, and opt"
    ):
        _fit(model, clock, tmp_path / "a", first=100, steps=120)
