import pytest
import tensorflow as tf

from keras_t2i.callbacks.checkpoints import StepCallback
from keras_t2i.stream_trained_model import StreamTrainedModel
from tests.callbacks.stepping_model import fit
from tests.callbacks.stepping_model import stepping_model


class Steps(StepCallback):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = []

    def on_step_end(self, step, logs):
        self.calls.append((step, logs["number"]))


def test_steps_count_through_epochs():
    steps = Steps()
    fit(stepping_model(), [steps], num_steps=3, epochs=2)
    assert [step for step, _ in steps.calls] == [1, 2, 3, 4, 5, 6]
    # Keras resets the metrics with each epoch: 1, (1 + 2) / 2, ...
    means = [1.0, 1.5, 2.0] * 2
    assert [mean for _, mean in steps.calls] == pytest.approx(means)
    assert steps.step == 6


def test_steps_go_on_after_earlier_ones():
    steps = Steps(first_step=40)
    model = stepping_model()
    assert steps.step == 40
    fit(model, [steps], num_steps=2)
    fit(model, [steps], num_steps=2)
    assert [step for step, _ in steps.calls] == [41, 42, 43, 44]


def test_several_steps_in_one_execution_are_one_call():
    steps = Steps()
    model = stepping_model()
    model.compile(steps_per_execution=2)
    fit(model, [steps], num_steps=4)
    assert [step for step, _ in steps.calls] == [2, 4]


def test_an_execution_that_an_epoch_ends_early():
    steps = Steps()
    model = stepping_model()
    model.compile(steps_per_execution=2)
    fit(model, [steps], num_steps=5, epochs=2)
    assert [step for step, _ in steps.calls] == [2, 4, 5, 7, 9, 10]
    assert model.count == 10


class CountingModel(StreamTrainedModel):
    def __init__(self):
        super().__init__()
        self.built = True

    def train_step(self, data):
        self.set_steps_trained(self.steps_trained + 1)
        return {"number": 0.0}


# Keras says so at the end of the first epoch.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("steps_per_epoch", [5, None])
def test_executions_that_pass_the_end_of_an_epoch(steps_per_epoch):
    # An endless stream has all steps of an execution. One of unknown length
    # may end within it.
    numbers = tf.data.Dataset.range(5).batch(1)
    if steps_per_epoch:
        numbers = numbers.repeat()
    else:
        numbers = numbers.filter(lambda number: True)
    model, steps = CountingModel(), Steps(first_step=40)
    model.compile(run_eagerly=True, steps_per_execution=4)
    model.fit(
        numbers,
        steps_per_epoch=steps_per_epoch,
        epochs=2,
        callbacks=[steps],
        verbose=0,
    )
    assert steps.step == 40 + int(model.steps_trained)


def test_what_is_due_within_an_execution_of_several_steps():
    class Due(Steps):
        def on_step_end(self, step, logs):
            if self.is_due(3):
                self.calls.append(step)

    one_by_one, four_at_once = Due(first_step=1), Due(first_step=1)
    fit(stepping_model(), [one_by_one], num_steps=12)
    assert one_by_one.calls == [3, 6, 9, 12]
    model = stepping_model()
    model.compile(steps_per_execution=4)
    # Of steps 2 to 5, 6 to 9, and 10 to 13.
    fit(model, [four_at_once], num_steps=12)
    assert four_at_once.calls == [5, 9, 13]
