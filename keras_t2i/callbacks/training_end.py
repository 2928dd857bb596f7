"""When a training ends, and what becomes of the learning rate before."""

from keras_t2i.callbacks.step_callback import StepCallback
from keras_t2i.linear_decay import linear_decays


class StopAfter(StepCallback):
    """Stops `fit` after a total of steps or of time, or on `request()`.

    Time and requests are looked at only where the recorder has just written a
    line, so that what is recorded ends with the training.

    Args:
        recorder: `RunRecorder`. Knows how long the training has run.
        steps: int. Total, those before `fit` included. Defaults to `None`.
        minutes: float. Total, those before `fit` included. Defaults to `None`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.
    """

    def __init__(self, recorder, steps=None, minutes=None, first_step=0):
        super().__init__(first_step)
        self.recorder = recorder
        self.steps = steps
        self.minutes = minutes
        self.requested = False

    def request(self):
        """Asks to stop at the next recorded step."""
        self.requested = True

    def end_after(self, steps):
        """Ends the training after so many steps in all, and not by the clock.

        Args:
            steps: int. Total, those before `fit` included.
        """
        self.steps = steps
        self.minutes = None

    def on_step_end(self, step, logs):
        if self.steps is not None and step >= self.steps:
            self.model.stop_training = True
        if step % self.recorder.every_steps:
            return
        if self.minutes is not None:
            if self.recorder.seconds >= 60.0 * self.minutes:
                self.model.stop_training = True
        if self.requested:
            self.model.stop_training = True


class BeginDecay(StepCallback):
    """Fixes the steps of `LinearDecay` so that it ends with the training.

    With a number of steps to train, they are known when the training begins.
    With minutes, the decay begins at the first recorded step after
    `1 - share` of the time, and takes as many steps as fit into the rest at
    the pace so far. The training then ends with them, and not by the clock.

    A training that goes on in the middle of a decay ends as it would have
    ended without the interruption: with minutes, the decay is left as it is.
    One whose decay is over, or was to begin later, as of a number of steps, is
    given a new one.

    It comes before the `StopAfter` that it is given, and before `Checkpoints`.

    Args:
        stop: `StopAfter`. Knows when the training ends, and is told.
        share: float in (0, 1). The last part of the training.
        first_step: int. Steps trained before `fit`. Defaults to `0`.

    Raises:
        ValueError: `share` is not in (0, 1); or, from `fit`, the model's
            optimizers have no `LinearDecay`.
    """

    def __init__(self, stop, share, first_step=0):
        if not 0 < share < 1:
            raise ValueError(
                f"`share` must be between 0 and 1. Received: {share!r}"
            )
        super().__init__(first_step)
        self.stop = stop
        self.share = share
        self._decays = []

    def on_train_begin(self, logs=None):
        self._decays = linear_decays(self.model)
        if not self._decays:
            raise ValueError(
                "The model must have an optimizer with a `LinearDecay`. "
                "Received: none. Compile it with one as the learning rate."
            )
        total = self.stop.steps
        if total is not None:
            self._set_steps(round((1 - self.share) * total), total)
        elif self._decays[0].is_under_way(self.step):
            self.stop.end_after(self._decays[0].last_step)
        else:
            self._set_steps(None, None)

    def on_step_end(self, step, logs):
        recorder, minutes = self.stop.recorder, self.stop.minutes
        if minutes is None or step % recorder.every_steps:
            return
        # As recorded: who reads the line comes to the same conclusion.
        seconds = recorder.recorded_seconds
        if seconds >= decay_seconds(minutes, self.share):
            left = max(0.0, 60.0 * minutes - seconds)
            last = step + round(step * left / seconds)
            self._set_steps(step, last)
            self.stop.end_after(last)

    def _set_steps(self, first, last):
        for decay in self._decays:
            decay.set_steps(first, last)


def decay_seconds(minutes, share):
    """Returns after how many seconds of a training the decay begins."""
    return 60.0 * minutes * (1 - share)
