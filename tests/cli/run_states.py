"""What a run folder holds, without what depends on the machine."""

import json

import keras
import numpy as np


def lines_of(run):
    """The lines of `metrics.jsonl`, without their seconds."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in lines]
    seconds = [line.pop("seconds") for line in lines]
    assert seconds == sorted(seconds)
    return lines


def state_of(file):
    """All that a file holds: weights, optimizers, moving averages."""
    model = keras.saving.load_model(file)
    variables = list(model.variables)
    for name in ("optimizer", "generator_optimizer", "discriminator_optimizer"):
        optimizer = getattr(model, name, None)
        if optimizer is not None:
            variables += optimizer.variables
    variables.append(model.steps_trained)
    return [np.array(variable) for variable in variables]


def assert_same_state(file, other):
    """Asserts that two files hold the same, bit for bit."""
    state, other_state = state_of(file), state_of(other)
    assert len(state) == len(other_state) > 0
    for value, other_value in zip(state, other_state):
        np.testing.assert_array_equal(value, other_value)
