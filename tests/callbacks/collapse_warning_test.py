import warnings

import pytest

from keras_t2i.callbacks import CollapseWarning

HEALTHY = {"real_accuracy": 0.8, "generated_accuracy": 0.7, "diversity": 0.9}


def _warnings_of(steps, patience=3):
    """The step and text of each warning; `steps` differ from `HEALTHY`."""
    callback = CollapseWarning(patience=patience)
    seen = []
    for step, logs in enumerate(steps, 1):
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
            {"real_accuracy": 0.999, "generated_accuracy": 1.0},
            "told all real and generated pictures apart",
        ),
        ({"generated_accuracy": 0.001}, "all generated pictures for real"),
    ],
)
def test_each_sign_is_warned_of_once(logs, text):
    # Since step 3; three steps later it has lasted long enough.
    ((step, message),) = _warnings_of([{}, {}] + [logs] * 10)
    assert step == 6
    assert text in message
    assert "For 3 steps, until step 6" in message
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
        {"generated_accuracy": 0.01},
        {"diversity": 0.25},
    ],
)
def test_health_is_not_warned_of(logs):
    assert _warnings_of([logs] * 20) == []


def test_two_signs_are_two_warnings():
    found = _warnings_of([{"diversity": 0.0, "generated_accuracy": 0.0}] * 9)
    assert [step for step, _ in found] == [4, 4]
