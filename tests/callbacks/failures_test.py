import warnings

import keras
import numpy as np
import pytest

from keras_t2i.callbacks import Checkpoints
from keras_t2i.callbacks import CollapseWarning
from keras_t2i.callbacks import StopOnNaN
from keras_t2i.callbacks.checkpoints import checkpoint_steps
from tests.callbacks.stepping_model import fit
from tests.callbacks.stepping_model import stepping_model

HEALTHY = {"real_accuracy": 0.8, "generated_accuracy": 0.7, "diversity": 0.9}


class _Spoil(keras.callbacks.Callback):
    """Gives the logs of one step another value."""

    def __init__(self, step, value):
        super().__init__()
        self.step, self.value = step, value

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.step:
            logs["number"] = self.value


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_it_stops_after_that_step(value):
    model = stepping_model()
    with pytest.raises(
        FloatingPointError,
        match=f"number must be finite. Received: {value} after step 7,.*no "
        "checkpoint yet.*lower learning rate",
    ):
        fit(model, [_Spoil(3, value), StopOnNaN(first_step=4)])
    assert float(model.count) == 3


def test_it_names_the_last_checkpoint(tmp_path):
    callbacks = [
        _Spoil(9, np.nan),
        StopOnNaN(tmp_path),
        Checkpoints(tmp_path, every_steps=3, every_seconds=0),
    ]
    with pytest.raises(
        FloatingPointError, match="checkpoint is .*step-00000006.keras"
    ):
        fit(stepping_model(), callbacks)
    # Not that of step 9, which was due.
    assert checkpoint_steps(tmp_path) == [3, 6]
    path = tmp_path / "step-00000006.keras"
    assert float(keras.saving.load_model(path).count) == 6


def test_finite_numbers_pass():
    assert "number" in fit(stepping_model(), [StopOnNaN()]).history


def _warnings_of(lines, patience=30):
    """The step and text of each warning.

    Args:
        lines: list of dicts, the metrics of ten steps each as they differ from
            `HEALTHY`. Of all but the tenth, the callback gets `HEALTHY`: what
            a few batches show says little.
        patience: int.
    """
    callback = CollapseWarning(patience=patience)
    seen = []
    for step in range(1, 10 * len(lines) + 1):
        logs = {} if step % 10 else lines[step // 10 - 1]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            callback.on_step_end(step, {**HEALTHY, **logs})
        seen += [(step, str(warning.message)) for warning in caught]
    return seen


@pytest.mark.parametrize(
    ("logs", "text"),
    [
        ({"diversity": 0.1}, "nearly alike"),
        (
            {"real_accuracy": 0.99, "generated_accuracy": 1.0},
            "told all real and generated images apart",
        ),
        ({"generated_accuracy": 0.01}, "all generated images for real"),
        ({"real_accuracy": 0.01}, "taken all real images"),
    ],
)
def test_each_sign_is_warned_of_once(logs, text):
    # Since step 30; thirty steps later it has lasted long enough.
    ((step, message),) = _warnings_of([{}, {}] + [logs] * 10)
    assert step == 60
    assert text in message
    assert "For 30 steps, until step 60" in message
    assert "docs/troubleshooting.md" in message


def test_a_sign_that_passes_is_not_warned_of():
    assert _warnings_of([{"diversity": 0.1}] * 3 + [{}]) == []
    # Nor do two that passed add up.
    assert _warnings_of(([{"diversity": 0.1}] * 3 + [{}]) * 4) == []


@pytest.mark.parametrize(
    "logs",
    [
        {},
        {"real_accuracy": 1.0},
        {"generated_accuracy": 1.0},
        {"real_accuracy": 1.0, "generated_accuracy": 0.97},
        {"generated_accuracy": 0.03},
        {"real_accuracy": 0.03},
        {"diversity": 0.25},
    ],
)
def test_health_is_not_warned_of(logs):
    assert _warnings_of([logs] * 20) == []


def test_two_signs_are_two_warnings():
    found = _warnings_of([{"diversity": 0.0, "generated_accuracy": 0.0}] * 9)
    assert [step for step, _ in found] == [40, 40]
