"""What all trainings do alike, with a learning rate that falls."""

import json
import os
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_t2i import JointEmbedding
from keras_t2i import TextRecipe
from keras_t2i.callbacks.checkpoints import StepCallback
from keras_t2i.callbacks.checkpoints import checkpoint_path
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import Shard
from keras_t2i.datasets.manifest import Split
from keras_t2i.errors import Terminated
from keras_t2i.linear_decay import linear_decays
from keras_t2i.text import feature_encoder
from keras_t2i.training.run_folder import RunFolder
from keras_t2i.training.runner import fit_run
from keras_t2i.training.runner import training_split
from keras_t2i.training.text_training import compile_for
from tests.cli.run_states import assert_same_state
from tests.cli.run_states import lines_of
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import tiny_text_encoder


def test_a_data_set_without_training_images():
    split = Split(1, 1, (Shard("a.tfrecord", "0" * 64, 1),))
    manifest = Manifest("tiny", 64, (), {"test": split}, "0" * 64)
    with pytest.raises(
        ValueError, match=r"split 'train'. Received.*\['test'\]"
    ):
        training_split(manifest)


RECIPE = TextRecipe.from_preset("char_cnn_rnn_features").override(
    decay_share=0.2
)


class _Interrupt(StepCallback):
    """A signal at step 11, so that the training ends with step 20."""

    def __init__(self, number=signal.SIGINT):
        super().__init__()
        self.number = number

    def on_step_end(self, step, logs):
        if step == 11:
            os.kill(os.getpid(), self.number)


def _batches(step):
    def batch(number):
        seed = tf.stack([number, 0])
        return {
            "images": tf.random.stateless_normal((4, 5), seed),
            "token_ids": tf.random.stateless_uniform(
                (4, 201), seed, 0, 71, tf.int32
            ),
        }

    return tf.data.Dataset.range(step, 10**6).map(batch)


def _new_model():
    keras.utils.set_random_seed(0)
    model = JointEmbedding(
        tiny_text_encoder(), feature_encoder(5, embedding_dim=EMBEDDING_DIM)
    )
    return compile_for(model, RECIPE, 10)


def _fit(path, callbacks=lambda first_step: [], **duration):
    """Trains, or goes on; returns the model and whether it was interrupted."""
    run = RunFolder(path)
    path.mkdir(exist_ok=True)
    if run.last_step():
        model = run.load_checkpoint(JointEmbedding)
    else:
        model = _new_model()
    recipe = RECIPE.override(**duration)
    interrupted = fit_run(
        run, model, _batches(run.last_step()), recipe, 10, callbacks
    )
    return model, interrupted


def _interrupted(path, **duration):
    _, interrupted = _fit(path, lambda _: [_Interrupt()], **duration)
    assert interrupted
    assert RunFolder(path).last_step() == 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    model, _ = _fit(path, steps=30)
    return path, model


def _checkpoint(path, step):
    return checkpoint_path(path / "checkpoints", step)


def test_the_rate_falls_and_weights_are_averaged(whole):
    path, model = whole
    (decay,) = linear_decays(model)
    assert (decay.first_step, decay.last_step) == (24, 30)
    checkpoint = keras.saving.load_model(_checkpoint(path, 30))
    averages = [
        np.array(variable)
        for variable in checkpoint.optimizer.variables
        if "average" in variable.path
    ]
    assert len(averages) == len(model.trainable_weights)
    for average, weight, raw in zip(
        averages, model.trainable_weights, checkpoint.trainable_weights
    ):
        np.testing.assert_array_equal(average, weight)
        # The checkpoint has the weights themselves.
        assert not np.array_equal(weight, raw), weight.path


def test_an_interrupted_training_ends_alike(whole, tmp_path):
    path, model = whole
    _interrupted(tmp_path / "run", steps=30)
    resumed, _ = _fit(tmp_path / "run", steps=30)
    assert_same_state(_checkpoint(tmp_path / "run", 30), _checkpoint(path, 30))
    assert lines_of(tmp_path / "run") == lines_of(path)
    for weight, expected in zip(resumed.weights, model.weights):
        np.testing.assert_array_equal(weight, expected)


def test_sigterm_ends_a_training_as_ctrl_c_does(tmp_path, capsys):
    before = signal.getsignal(signal.SIGTERM)
    _, interruption = _fit(
        tmp_path / "run", lambda _: [_Interrupt(signal.SIGTERM)], steps=30
    )
    assert isinstance(interruption, Terminated)
    assert RunFolder(tmp_path / "run").last_step() == 20
    assert "finishing the current steps" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_nothing_left_has_the_averages_too(whole, capsys):
    path, model = whole
    again, interrupted = _fit(path, steps=30)
    assert interrupted is None
    assert "nothing left to train: 30 steps" in capsys.readouterr().err
    for weight, expected in zip(again.weights, model.weights):
        np.testing.assert_array_equal(weight, expected)


def _set_seconds(path, seconds_a_step):
    metrics = path / "metrics.jsonl"
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    for line in lines:
        line["seconds"] = seconds_a_step * line["step"]
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_minutes(tmp_path, capsys):
    path = tmp_path / "run"
    _interrupted(path, minutes=60)
    _set_seconds(path, 1.0)
    # Four fifths of it are over at the next line.
    model, _ = _fit(path, minutes=20.2 / 60)
    (decay,) = linear_decays(model)
    first, last = decay.first_step, decay.last_step
    assert first == 30 and last >= first
    assert RunFolder(path).last_step() == last
    _set_seconds(path, 1.0)
    capsys.readouterr()
    # As many minutes as it began for, though the clock does not say so.
    _fit(path, minutes=30 / 60 / 0.8)
    assert "nothing left to train" in capsys.readouterr().err
    # With more, another decay begins later.
    model, _ = _fit(path, lambda _: [_InterruptAt(last)], minutes=60)
    (decay,) = linear_decays(model)
    assert (decay.first_step, decay.last_step) == (None, None)
    assert RunFolder(path).last_step() > last


def test_a_decay_branches_off_a_run(tmp_path):
    run, branch = tmp_path / "run", tmp_path / "branch"
    _interrupted(run, minutes=60)
    shutil.copytree(run, branch)
    model, _ = _fit(branch, steps=25)
    (decay,) = linear_decays(model)
    assert (decay.first_step, decay.last_step) == (20, 25)
    assert float(model.optimizer.learning_rate) == 0.0
    # The run itself continues at the constant rate.
    model, _ = _fit(run, lambda _: [_InterruptAt(20)], minutes=60)
    (decay,) = linear_decays(model)
    assert (decay.first_step, decay.last_step) == (None, None)


def test_the_last_step_that_is_shown_is_the_last_one(tmp_path, capsys):
    # By the clock, the training has ended within its first step.
    _fit(tmp_path / "run", minutes=1e-6, decay_share=None)
    assert RunFolder(tmp_path / "run").last_step() == 10
    assert "10 of 10 steps" in capsys.readouterr().err.splitlines()[-1]


class _InterruptAt(StepCallback):
    def __init__(self, first_step):
        super().__init__(first_step)
        self.first_step = first_step

    def on_step_end(self, step, logs):
        if step == self.first_step + 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_decay_under_way_goes_on_whatever_the_clock_says(tmp_path):
    path = tmp_path / "run"
    _interrupted(path, steps=24)
    # Fixed at step 19, under way at step 20; and an hour is over.
    _set_seconds(path, 200.0)
    model, _ = _fit(path, minutes=1)
    assert RunFolder(path).last_step() == 24
    assert int(model.optimizer.iterations) == 24
