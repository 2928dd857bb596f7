"""Callbacks that count steps across epochs and resumed runs."""

from typing import Any
from typing import TypeAlias

import keras

Logs: TypeAlias = dict[str, Any] | None


class StepCallback(keras.callbacks.Callback):
    """Calls `on_step_end(step, logs)` with the number of steps trained so far.

    Args:
        first_step: int. Steps trained before `fit`. Defaults to `0`.
    """

    def __init__(self, first_step: int = 0) -> None:
        super().__init__()
        self.step = first_step
        self._step_before = first_step - 1
        self._epoch_start = first_step

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch_start = self.step

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        # `batch` is the last one of an execution of several steps. The epoch
        # may have ended before it.
        done = min(batch + 1, self.params.get("steps") or batch + 1)
        self._step_before = self.step
        self.step = self._epoch_start + done
        self.on_step_end(self.step, {} if logs is None else logs)

    def on_step_end(self, step: int, logs: dict[str, Any]) -> None:
        raise NotImplementedError

    def is_due(self, every_steps: int) -> bool:
        """Whether the last execution has reached a multiple of this number.

        An execution of several steps (`steps_per_execution`) may pass it.
        Before the first one, `first_step` counts as reached.
        """
        return self.step // every_steps > self._step_before // every_steps
