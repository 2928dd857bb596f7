import json

import pytest
import tensorflow as tf

from keras_t2i.callbacks import RunRecorder
from tests.callbacks.stepping_model import SteppingModel
from tests.callbacks.stepping_model import fit
from tests.callbacks.stepping_model import stepping_model


def _float(number):
    return tf.cast(number, tf.float32)


def _lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_are_means_since_the_line_before(tmp_path):
    path = tmp_path / "metrics.jsonl"
    recorder = RunRecorder(path, steps_per_epoch=4, every_steps=3)
    fit(stepping_model(), [recorder], num_steps=10)
    lines = _lines(path)
    # Steps 1 to 3, 4 to 6, 7 to 9, and 10, the last one.
    assert [line["number"] for line in lines] == [2.0, 5.0, 8.0, 10.0]
    assert [line["step"] for line in lines] == [3, 6, 9, 10]
    assert [line["epoch"] for line in lines] == [0, 1, 2, 2]
    assert list(lines[0]) == ["step", "epoch", "seconds", "number"]
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)
    assert 0 <= seconds[0] < 60


@pytest.mark.parametrize("validated", [False, True])
def test_lines_are_means_across_epochs(tmp_path, validated):
    path = tmp_path / "metrics.jsonl"
    recorder = RunRecorder(path, steps_per_epoch=4, every_steps=3)
    numbers = tf.data.Dataset.range(1, 5).map(_float).batch(1)
    model = stepping_model()
    model.fit(
        numbers,
        epochs=3,
        validation_data=numbers if validated else None,
        callbacks=[recorder],
        shuffle=False,
        verbose=0,
    )
    lines = _lines(path)
    assert [line["step"] for line in lines] == [3, 6, 9, 12]
    # (1, 2, 3), (4, 1, 2), (3, 4, 1), (2, 3, 4).
    expected = [2.0, 7 / 3, 8 / 3, 3.0]
    assert [line["number"] for line in lines] == pytest.approx(expected)


def test_lines_go_on_after_earlier_ones(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 3}\n')
    recorder = RunRecorder(
        path, 4, every_steps=3, first_step=4, first_seconds=100.0
    )
    assert recorder.seconds == recorder.recorded_seconds == 100.0
    # Step 5 and 6, then 7 to 9. Step 4 was not of this model.
    fit(stepping_model(), [recorder], num_steps=5, first=5)
    lines = _lines(path)
    assert [line["step"] for line in lines] == [3, 6, 9]
    assert [line["number"] for line in lines[1:]] == [5.5, 8.0]
    assert 100.0 <= lines[1]["seconds"] < 160.0
    assert recorder.seconds >= lines[-1]["seconds"] - 0.001
    assert recorder.recorded_seconds == lines[-1]["seconds"]


def test_an_interrupted_run_writes_the_same_lines(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fit(stepping_model(), [RunRecorder(whole, 4, every_steps=2)], num_steps=8)
    for first in (0, 4):
        recorder = RunRecorder(parts, 4, every_steps=2, first_step=first)
        fit(stepping_model(), [recorder], num_steps=4, first=first + 1)
    lines = [_lines(path) for path in (whole, parts)]
    for line in lines[0] + lines[1]:
        del line["seconds"]
    assert lines[0] == lines[1]


def test_the_next_line_is_also_of_the_steps_before(tmp_path):
    model = stepping_model()
    path = tmp_path / "metrics.jsonl"
    fit(model, [RunRecorder(path, 4, every_steps=4)], num_steps=6)
    # Steps 5 and 6, when it ended; 5 to 8, once it has gone on, and 9.
    recorder = RunRecorder(path, 4, every_steps=4, first_step=6)
    fit(model, [recorder], num_steps=3, first=7)
    lines = _lines(path)
    assert [line["step"] for line in lines] == [4, 6, 8, 9]
    assert [line["number"] for line in lines] == [2.5, 5.5, 6.5, 9.0]


def test_a_new_training_begins_with_new_means(tmp_path):
    model = stepping_model()
    path = tmp_path / "metrics.jsonl"
    fit(model, [RunRecorder(tmp_path / "other", 4)], num_steps=6, first=50)
    fit(model, [RunRecorder(path, 4, every_steps=2)], num_steps=2)
    assert [line["number"] for line in _lines(path)] == [1.5]


def _validated_fit(model, recorder, first, num_steps):
    numbers = tf.data.Dataset.range(first, first + num_steps).map(_float)
    model.fit(
        numbers.batch(1),
        validation_data=numbers.batch(1),
        callbacks=[recorder],
        shuffle=False,
        verbose=0,
    )


def test_after_a_validation_metrics_are_those_of_training(tmp_path):
    path = tmp_path / "metrics.jsonl"
    model = stepping_model()
    _validated_fit(model, RunRecorder(path, 4, every_steps=4), 1, 6)
    # As a checkpoint at the end must have them: of steps 5 and 6.
    assert float(model.mean.result()) == 5.5
    recorder = RunRecorder(path, 4, every_steps=4, first_step=6)
    _validated_fit(model, recorder, 7, 2)
    assert [line["number"] for line in _lines(path)] == [2.5, 5.5, 6.5]


@pytest.mark.parametrize("between", ["nothing", "evaluate", "validation"])
def test_the_same_recorder_goes_on(tmp_path, between):
    model = stepping_model()
    path = tmp_path / "metrics.jsonl"
    recorder = RunRecorder(path, 4, every_steps=4)
    if between == "validation":
        _validated_fit(model, recorder, 1, 6)
    else:
        fit(model, [recorder], num_steps=6)
    if between == "evaluate":
        model.evaluate(tf.constant([[7.0]]), verbose=0)
    fit(model, [recorder], num_steps=2, first=7)
    # Steps 5 and 6 when it ended, then 5 to 8.
    assert [line["number"] for line in _lines(path)] == [2.5, 5.5, 6.5]


def test_a_line_is_there_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    recorder = RunRecorder(path, 4, every_steps=1)

    class Reader(RunRecorder):
        def on_step_end(self, step, logs):
            text = path.read_text()
            seen.append((step, text.count("\n"), text.endswith("\n")))

    seen = []
    fit(stepping_model(), [recorder, Reader(path, 4)], num_steps=2)
    assert seen == [(1, 1, True), (2, 2, True)]


def test_its_folder_is_made(tmp_path):
    path = tmp_path / "none" / "a"
    fit(stepping_model(), [RunRecorder(path, 4, every_steps=1)], num_steps=2)
    assert len(_lines(path)) == 2


def test_a_folder_that_cannot_be_made_is_named_before_the_first_step(tmp_path):
    (tmp_path / "file").touch()
    recorder = RunRecorder(tmp_path / "file" / "a", 4, every_steps=1)
    model = stepping_model()
    with pytest.raises(OSError, match="file"):
        fit(model, [recorder])
    assert model.count == 0


def test_seconds_go_on_with_a_second_training(tmp_path):
    path = tmp_path / "metrics.jsonl"
    recorder = RunRecorder(path, 4, every_steps=1)
    fit(stepping_model(), [recorder], num_steps=2)
    recorder._first_seconds += 100
    fit(stepping_model(), [recorder], num_steps=2)
    lines = _lines(path)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert lines[1]["seconds"] < 100 < lines[2]["seconds"]


# Keras says so at the end of the first epoch.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("is_of_unknown_length", [False, True])
@pytest.mark.parametrize("num_steps", [3, 4, 6])
def test_what_fit_returns(tmp_path, num_steps, is_of_unknown_length):
    # The mean since the line before the last step, also if it writes one.
    recorder = RunRecorder(tmp_path / "metrics", num_steps, every_steps=3)
    numbers = tf.data.Dataset.range(1, 1 + num_steps).map(_float).batch(1)
    if is_of_unknown_length:
        numbers = numbers.filter(lambda number: True)
    history = stepping_model().fit(
        numbers, epochs=3, callbacks=[recorder], shuffle=False, verbose=0
    )
    lines = {line["step"]: line["number"] for line in _lines(recorder.path)}
    for epoch, number in enumerate(history.history["number"]):
        step = (1 + epoch) * num_steps
        assert number == lines.get(step, number)
        assert 1 <= number <= num_steps


def test_an_execution_that_passes_a_line_is_counted_once(tmp_path):
    # Lines at 3, 6, ...; the first training ends at 4, past one.
    model = SteppingModel()
    model.compile(run_eagerly=True, steps_per_execution=4)
    path = tmp_path / "metrics"
    for first in (0, 4):
        recorder = RunRecorder(path, 8, every_steps=3, first_step=first)
        numbers = tf.data.Dataset.range(first + 1, first + 5).map(_float)
        model.fit(
            numbers.batch(1), callbacks=[recorder], shuffle=False, verbose=0
        )
    lines = _lines(path)
    assert [line["number"] for line in lines] == [2.5, 6.5]
