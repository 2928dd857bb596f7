import errno
import os

import keras
import numpy as np
import pytest

from keras_t2i.callbacks import Checkpoints
from keras_t2i.callbacks.checkpoints import checkpoint_path
from keras_t2i.callbacks.checkpoints import checkpoint_steps
from tests.callbacks.stepping_model import SteppingModel
from tests.callbacks.stepping_model import fit
from tests.callbacks.stepping_model import stepping_model


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_two_are_kept(tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    checkpoints = Checkpoints(folder, every_steps=3, every_seconds=0)
    fit(stepping_model(), [checkpoints], num_steps=10)
    # After steps 3, 6, 9, and at the end.
    assert _names(folder) == ["step-00000009.keras", "step-00000010.keras"]
    for step in (9, 10):
        model = keras.saving.load_model(checkpoint_path(folder, step))
        assert int(model.count) == step


def test_an_end_on_a_checkpoint_is_saved_once(tmp_path):
    class Saves(SteppingModel):
        def save(self, *args, **kwargs):
            saves.append(int(self.count))
            super().save(*args, **kwargs)

    saves = []
    model = Saves()
    model.compile(run_eagerly=True)
    fit(model, [Checkpoints(tmp_path, every_steps=2, every_seconds=0)], 4)
    assert saves == [2, 4]
    assert checkpoint_steps(tmp_path) == [2, 4]


def test_the_last_one_has_weights_and_not_averages(tmp_path):
    inputs = keras.Input((1,))
    outputs = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(
        inputs
    )
    model = keras.Model(inputs, outputs)
    # Each step lowers the weight by 1: -1, -2, -3.
    model.compile(
        keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5),
        "mean_absolute_error",
    )
    ones = np.ones((3, 1), "float32")
    model.fit(
        *(ones, -100 * ones),
        batch_size=1,
        callbacks=[Checkpoints(tmp_path)],
        verbose=0,
    )
    # -1, then half of that and of -2, then half of that and of -3.
    assert float(model.weights[0][0, 0]) == -2.25
    loaded = keras.saving.load_model(checkpoint_path(tmp_path, 3))
    assert float(loaded.weights[0][0, 0]) == -3.0
    loaded.optimizer.finalize_variable_values(loaded.trainable_weights)
    assert float(loaded.weights[0][0, 0]) == -2.25


@pytest.mark.parametrize("position", [0, 1])
def test_another_callback_ends_the_training_with_an_epoch(tmp_path, position):
    class StopAtEpochEnd(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    callbacks = [Checkpoints(tmp_path)]
    callbacks.insert(position, StopAtEpochEnd())
    fit(stepping_model(), callbacks, num_steps=4, epochs=3)
    assert checkpoint_steps(tmp_path) == [4]


def test_epochs_before_the_last_save_nothing(tmp_path):
    fit(stepping_model(), [Checkpoints(tmp_path)], num_steps=4, epochs=3)
    assert checkpoint_steps(tmp_path) == [12]


def test_checkpoints_are_so_many_seconds_apart(tmp_path):
    checkpoints = Checkpoints(tmp_path, every_steps=1, every_seconds=3600)
    fit(stepping_model(), [checkpoints], num_steps=5)
    assert checkpoint_steps(tmp_path) == [5]


def test_nothing_is_saved_where_no_step_was_taken(tmp_path):
    checkpoints = Checkpoints(tmp_path, first_step=8)
    checkpoints.set_model(stepping_model())
    checkpoints.on_train_begin()
    checkpoints.on_train_end()
    assert _names(tmp_path) == []


def test_steps_go_on_after_earlier_ones(tmp_path):
    checkpoints = Checkpoints(
        tmp_path, every_steps=10, every_seconds=0, first_step=8
    )
    fit(stepping_model(), [checkpoints], num_steps=5)
    assert checkpoint_steps(tmp_path) == [10, 13]


def test_a_full_disk_leaves_the_older_checkpoints(tmp_path):
    class FullDiskAtStep6(SteppingModel):
        def save(self, path, *args, **kwargs):
            super().save(path, *args, **kwargs)
            if int(self.count) == 6:
                os.truncate(path, 100)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    model = FullDiskAtStep6()
    model.compile(run_eagerly=True)
    checkpoints = Checkpoints(tmp_path, every_steps=2, every_seconds=0)
    with pytest.raises(OSError, match="No space left on device: .*step-0000"):
        fit(model, [checkpoints], num_steps=8)
    assert _names(tmp_path) == ["step-00000002.keras", "step-00000004.keras"]
    keras.saving.load_model(
        checkpoint_path(tmp_path, 4),
        custom_objects={"FullDiskAtStep6": FullDiskAtStep6},
    )


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    (tmp_path / ".tmp-step-00000007.keras").write_bytes(b"half")
    (tmp_path / "mine.txt").write_text("kept")
    fit(stepping_model(), [Checkpoints(tmp_path)], num_steps=1)
    assert _names(tmp_path) == ["mine.txt", "step-00000001.keras"]


def test_only_whole_checkpoints_are_listed(tmp_path):
    assert checkpoint_steps(tmp_path / "none") == []
    for name in (
        "step-00000010.keras",
        "step-00000002.keras",
        # What a kill leaves behind.
        ".tmp-step-00000020.keras",
        "step-30.keras",
        "step-00000040.keras.bak",
        "model.keras",
    ):
        (tmp_path / name).touch()
    assert checkpoint_steps(tmp_path) == [2, 10]
    assert checkpoint_path(tmp_path, 10).name == "step-00000010.keras"


def test_a_folder_of_a_longer_training_is_refused(tmp_path):
    fit(stepping_model(), [Checkpoints(tmp_path)], num_steps=9)
    before = _names(tmp_path)
    with pytest.raises(
        ValueError, match=r"no checkpoints of later steps.*first_step=4.*step 9"
    ):
        fit(stepping_model(), [Checkpoints(tmp_path, first_step=4)])
    assert _names(tmp_path) == before == ["step-00000009.keras"]


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    class Diverges(SteppingModel):
        def train_step(self, data):
            results = super().train_step(data)
            if int(self.count) == 4:
                self.count.assign(float("nan"))
            return results

    model = Diverges()
    model.compile(run_eagerly=True)
    checkpoints = Checkpoints(tmp_path, every_steps=2, every_seconds=0)
    with pytest.raises(
        FloatingPointError, match="count with NaN or infinity after step 4"
    ):
        fit(model, [checkpoints])
    assert _names(tmp_path) == ["step-00000002.keras"]
