import pytest

from keras_t2i.callbacks import RunRecorder
from keras_t2i.callbacks import StopAfter
from tests.callbacks.stepping_model import fit
from tests.callbacks.stepping_model import stepping_model


@pytest.fixture
def recorder(tmp_path):
    return RunRecorder(tmp_path / "metrics.jsonl", 100, every_steps=4)


def _steps_taken(stop, recorder):
    model = stepping_model()
    fit(model, [recorder, stop], num_steps=20)
    return int(model.count)


def test_steps(recorder):
    stop = StopAfter(recorder, steps=7)
    assert _steps_taken(stop, recorder) == 7


def test_steps_are_a_total(recorder):
    stop = StopAfter(recorder, steps=47, first_step=40)
    assert _steps_taken(stop, recorder) == 7


def test_without_a_limit_it_does_not_stop(recorder):
    assert _steps_taken(StopAfter(recorder), recorder) == 20


def test_minutes_end_with_a_line(tmp_path):
    recorder = RunRecorder(
        tmp_path / "a", 100, every_steps=4, first_seconds=61.0
    )
    # The minute is over before the first step already.
    stop = StopAfter(recorder, minutes=1.0)
    assert _steps_taken(stop, recorder) == 4


def test_minutes_that_are_not_over(recorder):
    stop = StopAfter(recorder, minutes=60.0)
    assert _steps_taken(stop, recorder) == 20


def test_a_request_ends_with_a_line(recorder):
    class RequestAtStep5(StopAfter):
        def on_step_end(self, step, logs):
            if step == 5:
                self.request()
            super().on_step_end(step, logs)

    assert _steps_taken(RequestAtStep5(recorder), recorder) == 8


def test_steps_in_place_of_the_clock(tmp_path):
    recorder = RunRecorder(
        tmp_path / "a", 100, every_steps=4, first_seconds=61.0
    )

    class SevenSteps(StopAfter):
        def on_train_begin(self, logs=None):
            self.end_after(7)

    stop = SevenSteps(recorder, minutes=1.0)
    assert _steps_taken(stop, recorder) == 7
    assert (stop.steps, stop.minutes) == (7, None)
