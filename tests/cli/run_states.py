"""What a run folder holds, without what depends on the machine."""

import functools
import json
import os
import shutil

import keras
import numpy as np

from keras_t2i.callbacks.checkpoints import checkpoint_steps


def lines_of(run):
    """The lines of `metrics.jsonl`, without their seconds."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in lines]
    seconds = [line.pop("seconds") for line in lines]
    assert seconds == sorted(seconds)
    return lines


def state_of(file):
    """All that a file holds: weights, optimizers, moving averages."""
    return _state_of(file, os.stat(file).st_mtime_ns)


@functools.cache
def _state_of(file, mtime):
    return state_of_model(keras.saving.load_model(file))


def state_of_model(model):
    """All that is trained of a model; `state_of` of one that is loaded."""
    variables = list(model.variables)
    for name in ("optimizer", "generator_optimizer", "discriminator_optimizer"):
        optimizer = getattr(model, name, None)
        if optimizer is not None:
            variables += optimizer.variables
    # Not all that is saved is trained in steps.
    if hasattr(model, "steps_trained"):
        variables.append(model.steps_trained)
    return [np.array(variable) for variable in variables]


def killed_after(step, run, folder):
    """A copy of a run, as if it had been killed just after a checkpoint."""
    shutil.copytree(run, folder)
    (folder / "model.keras").unlink()
    for checkpoint in (folder / "checkpoints").iterdir():
        if checkpoint.name > f"step-{step:08d}.keras":
            checkpoint.unlink()
    assert checkpoint_steps(folder / "checkpoints")[-1] == step
    return folder


def assert_same_state(file, other):
    """Asserts that two files hold the same, bit for bit."""
    state, other_state = state_of(file), state_of(other)
    assert len(state) == len(other_state) > 0
    for value, other_value in zip(state, other_state):
        np.testing.assert_array_equal(value, other_value)
