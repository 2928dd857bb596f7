import errno
import os
import time

import keras
import numpy as np
import pytest

from keras_t2i.callbacks import Checkpoints
from keras_t2i.callbacks import KeepBest
from keras_t2i.callbacks import RunRecorder
from keras_t2i.callbacks.checkpoints import checkpoint_path
from keras_t2i.callbacks.checkpoints import checkpoint_steps
from tests.callbacks.run_recorder_test import _lines as lines_of
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


def _keep_best(folder, errors, every_steps=1, **options):
    """Of which measurement 1, 2, ... gives `errors`."""

    def measure(model):
        return {"error": errors[int(model.count) // every_steps - 1]}

    return KeepBest(
        folder / "best.keras",
        measure,
        "val_error",
        every_steps=every_steps,
        **options,
    )


def _kept_step(folder):
    return int(keras.saving.load_model(folder / "best.keras").count)


@pytest.mark.parametrize(
    ("mode", "best", "best_steps"),
    [("min", 1.0, [2, 6]), ("max", 5.0, [2, 4])],
)
def test_the_best_one_is_kept(tmp_path, mode, best, best_steps):
    keep_best = _keep_best(tmp_path, [3.0, 5.0, 1.0, 1.0], 2, mode=mode)
    assert (keep_best.best, keep_best.best_step) == (None, None)
    fit(stepping_model(), [keep_best], num_steps=9)
    # The first one of those that are alike.
    assert keep_best.best == best
    assert keep_best.best_steps == best_steps
    assert keep_best.best_step == best_steps[-1]
    assert _kept_step(tmp_path) == best_steps[-1]
    assert os.listdir(tmp_path) == ["best.keras"]


def test_what_is_measured_is_recorded(tmp_path):
    recorder = RunRecorder(tmp_path / "metrics.jsonl", 4, every_steps=2)
    fit(
        stepping_model(),
        [_keep_best(tmp_path, [3.0, 5.0], 4), recorder],
        num_steps=8,
    )
    lines = lines_of(tmp_path / "metrics.jsonl")
    assert [line.get("val_error") for line in lines] == [None, 3, None, 5]
    # What the model logs itself is as without it.
    assert [line["number"] for line in lines] == [1.5, 3.5, 5.5, 7.5]


def test_measuring_leaves_the_metrics_of_the_training(tmp_path):
    def measure(model):
        return model.evaluate(np.ones((1, 1)), verbose=0, return_dict=True)

    keep_best = KeepBest(
        tmp_path / "best.keras", measure, "val_number", every_steps=2
    )
    recorder = RunRecorder(tmp_path / "metrics.jsonl", 4, every_steps=4)
    history = fit(stepping_model(), [keep_best, recorder], num_steps=8).history
    lines = lines_of(tmp_path / "metrics.jsonl")
    assert [line["number"] for line in lines] == [2.5, 6.5]
    assert history["number"] == [6.5]
    assert history["val_number"] == [100.0]


@pytest.mark.parametrize(
    ("patience", "last_step"), [(None, 9), (1, 2), (2, 5), (3, 9), (4, 9)]
)
def test_patience(tmp_path, patience, last_step):
    # Better than all before at 1, 3, 6: not better at 2, at 4 and 5, and at 7,
    # 8 and 9.
    errors = [3.0, 4.0, 2.0, 2.0, 2.5, 1.0, 1.5, 1.4, 1.3]
    model = stepping_model()
    keep_best = _keep_best(tmp_path, errors, patience=patience)
    fit(model, [keep_best], num_steps=9)
    assert int(model.count) == last_step


def test_patience_ends_the_training_in_order(tmp_path):
    keep_best = _keep_best(tmp_path, [1.0, 2.0, 3.0], 2, patience=2)
    recorder = RunRecorder(tmp_path / "metrics.jsonl", 4, every_steps=2)
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep_best=keep_best)
    fit(stepping_model(), [keep_best, recorder, checkpoints], num_steps=10)
    lines = lines_of(recorder.path)
    assert [line["val_error"] for line in lines] == [1, 2, 3]
    assert checkpoint_steps(tmp_path / "checkpoints") == [2, 6]
    assert _kept_step(tmp_path) == 2


def test_keras_own_callbacks_monitor_it(tmp_path):
    callbacks = [
        _keep_best(tmp_path, [4.0, 3.0, 2.0, 5.0, 6.0, 1.0], 2),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "checkpoint.keras",
            monitor="val_error",
            mode="min",
            save_best_only=True,
        ),
        keras.callbacks.EarlyStopping(
            monitor="val_error", mode="min", patience=2
        ),
    ]
    model = stepping_model()
    history = fit(model, callbacks, num_steps=2, epochs=6)
    assert history.history["val_error"] == [4, 3, 2, 5, 6]
    assert int(model.count) == 10
    checkpoint = keras.saving.load_model(tmp_path / "checkpoint.keras")
    assert int(checkpoint.count) == 6


def test_it_goes_on_as_if_it_had_not_stopped(tmp_path):
    errors = [3.0, 2.0, 4.0, 2.5, 2.0, 1.0]
    keep_best = _keep_best(
        tmp_path,
        errors[3:],  # The model is new, and counts from 1.
        patience=3,
        first_step=3,
        earlier=[(1, 3.0), (2, 2.0), (3, 4.0)],
    )
    assert (keep_best.best, keep_best.best_steps) == (2.0, [1, 2])
    model = stepping_model()
    fit(model, [keep_best], num_steps=3)
    # It is the third one that is not better than 2.
    assert keep_best.step == 5
    # Whoever resumes sees to the file.
    assert os.listdir(tmp_path) == []


def test_what_measuring_takes_is_not_time_of_the_training(tmp_path):
    def measure(model):
        time.sleep(0.5)
        return {"error": 1.0}

    keep_best = KeepBest(
        tmp_path / "best.keras", measure, "val_error", every_steps=2
    )
    recorder = RunRecorder(
        tmp_path / "metrics.jsonl",
        *(4, 1),
        first_seconds=100.0,
        keep_best=keep_best,
    )
    started = time.monotonic()
    fit(stepping_model(), [keep_best, recorder], num_steps=6)
    passed = time.monotonic() - started
    seconds = [line["seconds"] for line in lines_of(recorder.path)]
    assert seconds == sorted(seconds)
    assert keep_best.seconds >= 1.5
    assert 100 <= seconds[-1] <= 100.001 + passed - keep_best.seconds


def test_there_are_checkpoints_of_the_best_steps(tmp_path):
    #          1    2    3    4    5    6    7    8    9
    errors = [9.0, 8.0, 7.0, 7.5, 6.0, 6.5, 6.5, 6.5, 6.5]
    keep_best = _keep_best(tmp_path, errors)
    folder = tmp_path / "checkpoints"
    # Others every four steps.
    checkpoints = Checkpoints(
        folder, every_steps=4, every_seconds=0, keep_best=keep_best
    )
    seen = {}

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen[batch + 1] = checkpoint_steps(folder)

    fit(stepping_model(), [keep_best, checkpoints, Look()], num_steps=9)
    assert seen == {
        **{1: [1], 2: [1, 2], 3: [2, 3], 4: [2, 3, 4]},
        # From 4, the best one is that of 3.
        **{5: [3, 4, 5], 6: [3, 4, 5], 7: [3, 4, 5]},
        **{8: [3, 5, 8], 9: [3, 5, 8]},
    }
    assert checkpoint_steps(folder) == [3, 5, 8, 9]
    for step in checkpoint_steps(folder):
        best = min(errors[:step])
        assert errors.index(best) + 1 in checkpoint_steps(folder), step


def test_a_full_disk_leaves_the_one_before(tmp_path):
    class FullDiskAtStep4(SteppingModel):
        def save(self, path, *args, **kwargs):
            super().save(path, *args, **kwargs)
            if int(self.count) == 4:
                os.truncate(path, 100)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    model = FullDiskAtStep4()
    model.compile(run_eagerly=True)
    keep_best = _keep_best(tmp_path, [3.0, 2.0], 2)
    recorder = RunRecorder(tmp_path / "metrics.jsonl", 4, every_steps=2)
    with pytest.raises(OSError, match="No space left on device: .*best.ker"):
        fit(model, [keep_best, recorder])
    assert sorted(os.listdir(tmp_path)) == ["best.keras", "metrics.jsonl"]
    # What is not kept is not recorded either.
    assert [line["step"] for line in lines_of(recorder.path)] == [2]
    model = keras.saving.load_model(
        tmp_path / "best.keras",
        custom_objects={"FullDiskAtStep4": FullDiskAtStep4},
    )
    assert int(model.count) == 2


def test_the_folder_is_made(tmp_path):
    fit(stepping_model(), [_keep_best(tmp_path / "deep" / "run", [1.0] * 10)])
    assert _kept_step(tmp_path / "deep" / "run") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "auto"}, '"min" or "max". Received: \'auto\''),
        ({"every_steps": 0}, "`every_steps` must be a .* 1. Received: 0"),
        ({"patience": 0}, "`patience` must be a .* 1. Received: 0"),
        ({"path": "best"}, "a .keras file. Received: 'best'"),
    ],
)
def test_bad_arguments(options, message):
    arguments = {"path": "best.keras", "measure": None, "monitor": "val_error"}
    with pytest.raises(ValueError, match=message):
        KeepBest(**{**arguments, **options})


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        ({"loss": 1.0}, "one of \\['val_loss'\\].*Received: 'val_error'"),
        (
            {"error": 1.0, "loss": float("nan")},
            "finite numbers. Received: val_loss=nan after step 3",
        ),
    ],
)
def test_what_cannot_be_compared(tmp_path, measured, message):
    keep_best = KeepBest(
        tmp_path / "best.keras",
        lambda model: measured,
        "val_error",
        every_steps=3,
    )
    with pytest.raises(ValueError, match=message):
        fit(stepping_model(), [keep_best])
    assert os.listdir(tmp_path) == []
