"""When a training stops, and how its learning rate falls until then."""

import math
from typing import Any

import keras

from keras_t2i.callbacks.checkpoints import Logs
from keras_t2i.callbacks.checkpoints import StepCallback
from keras_t2i.callbacks.checkpoints import last_good_checkpoint
from keras_t2i.callbacks.recording import RunRecorder
from keras_t2i.checks import check_above_zero
from keras_t2i.checks import check_number
from keras_t2i.checks import check_whole_number
from keras_t2i.linear_decay import LinearDecay
from keras_t2i.linear_decay import linear_decays
from keras_t2i.types import StrPath


class StopOnNaN(StepCallback):
    """Raises an error after the first step with a NaN or infinite metric.

    Callbacks that save, such as `Checkpoints`, come after this one, so nothing
    of such a step is saved.

    Args:
        folder: path of the folder of `Checkpoints`; the error names the last
            one. Defaults to `None`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.

    Raises:
        FloatingPointError: from `fit`, after such a step.
    """

    def __init__(
        self, folder: StrPath | None = None, first_step: int = 0
    ) -> None:
        super().__init__(first_step)
        self.folder = folder

    def on_step_end(self, step: int, logs: dict[str, Any]) -> None:
        for name, value in logs.items():
            if not math.isfinite(float(value)):
                raise FloatingPointError(
                    f"{name} must be finite. Received: {float(value)} after "
                    f"step {step}, where the training was stopped. "
                    f"{last_good_checkpoint(self.folder)} Resumed from there, "
                    "the training would fail in the same way. Start a new one "
                    "with a lower learning rate, or in float32 instead of "
                    "mixed precision."
                )


class StopAfter(StepCallback):
    """Stops `fit` after a total of steps or of time, or on `request()`.

    Time and requests count only where the recorder has just written a line, so
    that the training ends with a recorded step.

    Args:
        recorder: `RunRecorder`, which measures the time and comes before this
            callback.
        steps: int. Total, those before `fit` included. Defaults to `None`.
        minutes: float. Total, those before `fit` included. Defaults to `None`.
        first_step: int. Steps trained before `fit`. Defaults to `0`.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        recorder: RunRecorder,
        steps: int | None = None,
        minutes: float | None = None,
        first_step: int = 0,
    ) -> None:
        super().__init__(first_step)
        if steps is not None:
            check_whole_number(steps, "steps", at_least=1)
        if minutes is not None:
            check_above_zero(minutes=minutes)
        self.recorder = recorder
        self.steps = steps
        self.minutes = minutes
        self.requested = False

    def request(self) -> None:
        """Asks to stop at the next recorded step."""
        self.requested = True

    def end_after(self, steps: int) -> None:
        """Ends the training after a number of steps, and not by the clock.

        Args:
            steps: int. Total, those before `fit` included.
        """
        self.steps = steps
        self.minutes = None

    def on_step_end(self, step: int, logs: dict[str, Any]) -> None:
        if self.steps is not None and step >= self.steps:
            self.model.stop_training = True
        if not self.is_due(self.recorder.every_steps):
            return
        if self.requested or (
            self.minutes is not None
            and self.recorder.recorded_seconds >= 60.0 * self.minutes
        ):
            self.model.stop_training = True


class BeginDecay(StepCallback):
    """Sets the steps of `LinearDecay` so that it ends with the training.

    If the total number of steps is known, they are set when the training
    begins. If the training has minutes, the decay begins at the first recorded
    step after `1 - share` of the time, and takes as many steps as fit into the
    rest at the pace so far. The training then ends after these steps, and not
    by the clock.

    A training that is resumed in the middle of a decay ends as it would have
    ended without the interruption: with minutes, the decay stays as it is. A
    decay that is over, or that was to begin later, is set anew.

    This callback comes before the `StopAfter` that it is given, and before
    `Checkpoints`.

    Args:
        stop: `StopAfter`, which knows when the training ends. It is told to
            end with the decay.
        share: float in (0, 1). The last part of the training.
        first_step: int. Steps trained before `fit`. Defaults to `0`.

    Raises:
        ValueError: `share` is not in (0, 1); or, from `fit`, the model's
            optimizers have no `LinearDecay`, or none of the steps before `fit`.
    """

    def __init__(
        self, stop: StopAfter, share: float, first_step: int = 0
    ) -> None:
        check_number(
            share, "share", "a number in (0, 1)", lambda value: 0 < value < 1
        )
        super().__init__(first_step)
        self.stop = stop
        self.share = share
        self._decays: list[LinearDecay] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        self._decays = linear_decays(self.model)
        if not self._decays:
            raise ValueError(
                "The model must have an optimizer with a `LinearDecay`. "
                "Received: none. Compile it with one as the learning rate."
            )
        if self.step and self._optimizer_begins():
            raise ValueError(
                "`first_step` must be the steps that the optimizers have "
                f"trained, whose steps a decay counts. Received: {self.step}, "
                "and optimizers that begin. Give all callbacks the "
                "`first_step` 0."
            )
        total = self.stop.steps
        last = self._decays[0].last_step
        if total is not None:
            self._set_steps(round((1 - self.share) * total), total)
        elif last is not None and self._decays[0].is_under_way(self.step):
            self.stop.end_after(last)
        else:
            self._set_steps(None, None)

    def on_step_end(self, step: int, logs: dict[str, Any]) -> None:
        recorder, minutes = self.stop.recorder, self.stop.minutes
        if minutes is None or not self.is_due(recorder.every_steps):
            return
        # The recorded seconds: a resumed run reads them and decides the same.
        seconds = recorder.recorded_seconds
        if seconds >= decay_seconds(minutes, self.share):
            left = max(0.0, 60.0 * minutes - seconds)
            last = step + round(step * left / seconds)
            self._set_steps(step, last)
            self.stop.end_after(last)

    def _optimizer_begins(self) -> bool:
        name = "generator_optimizer"
        optimizer = getattr(self.model, name, self.model.optimizer)
        # What scales the losses of half precision has an optimizer inside.
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        # It counts updates, each of which may be of several steps.
        num_steps = optimizer.gradient_accumulation_steps or 1
        iterations = int(keras.ops.convert_to_numpy(optimizer.iterations))
        return self.step >= num_steps and iterations == 0

    def _set_steps(self, first: int | None, last: int | None) -> None:
        for decay in self._decays:
            decay.set_steps(first, last)


def decay_seconds(minutes: float, share: float) -> float:
    """Returns after how many seconds of a training the decay begins."""
    return 60.0 * minutes * (1 - share)
