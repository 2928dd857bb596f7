import warnings

import pytest

from keras_t2i.callbacks import CollapseWarning

HEALTHY = {"real_accuracy": 0.8, "generated_accuracy": 0.7, "diversity": 0.9}


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
            "told all real and generated pictures apart",
        ),
        ({"generated_accuracy": 0.01}, "all generated pictures for real"),
        ({"real_accuracy": 0.01}, "refused all real pictures"),
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
