"""Ends a training after so many steps or minutes, or when asked to."""

from keras_t2i.callbacks.step_callback import StepCallback


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
