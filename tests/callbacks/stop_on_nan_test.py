import keras
import numpy as np
import pytest

from keras_t2i.callbacks import Checkpoints
from keras_t2i.callbacks import StopOnNaN
from keras_t2i.callbacks.checkpoints import checkpoint_steps
from tests.callbacks.stepping_model import fit
from tests.callbacks.stepping_model import stepping_model


class _Spoil(keras.callbacks.Callback):
    """Gives the logs of one step another value."""

    def __init__(self, step, value):
        super().__init__()
        self.step, self.value = step, value

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.step:
            logs["number"] = self.value


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_it_stops_after_that_step(value):
    model = stepping_model()
    with pytest.raises(
        FloatingPointError,
        match=f"number must be finite. Received: {value} after step 7,.*no "
        "checkpoint yet.*lower learning rate",
    ):
        fit(model, [_Spoil(3, value), StopOnNaN(first_step=4)])
    assert float(model.count) == 3


def test_it_names_the_last_checkpoint(tmp_path):
    callbacks = [
        _Spoil(9, np.nan),
        StopOnNaN(tmp_path),
        Checkpoints(tmp_path, every_steps=3, every_seconds=0),
    ]
    with pytest.raises(
        FloatingPointError, match="checkpoint is .*step-00000006.keras"
    ):
        fit(stepping_model(), callbacks)
    # Not that of step 9, which was due.
    assert checkpoint_steps(tmp_path) == [3, 6]
    path = tmp_path / "step-00000006.keras"
    assert float(keras.saving.load_model(path).count) == 6


def test_finite_numbers_pass():
    assert "number" in fit(stepping_model(), [StopOnNaN()]).history
