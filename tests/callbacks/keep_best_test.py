import errno
import os
import time

import keras
import pytest

from keras_t2i.callbacks import Checkpoints
from keras_t2i.callbacks import KeepBest
from keras_t2i.callbacks import RunRecorder
from keras_t2i.callbacks.checkpoints import checkpoint_steps
from tests.callbacks.run_recorder_test import _lines as lines_of
from tests.callbacks.stepping_model import SteppingModel
from tests.callbacks.stepping_model import fit
from tests.callbacks.stepping_model import stepping_model


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
    # Whoever goes on sees to the file.
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
        ({"every_steps": 0}, "`every_steps` must be at least 1. Received: 0"),
        ({"patience": 0}, "`patience` must be at least 1. Received: 0"),
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
