"""What all trainings have in common."""

import contextlib
import math
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_t2i.callbacks.checkpoints import Checkpoints
from keras_t2i.callbacks.checkpoints import KeepBest
from keras_t2i.callbacks.checkpoints import StepCallback
from keras_t2i.callbacks.recording import RunRecorder
from keras_t2i.callbacks.recording import TensorBoardWriter
from keras_t2i.callbacks.stopping import BeginDecay
from keras_t2i.callbacks.stopping import StopAfter
from keras_t2i.callbacks.stopping import StopOnNaN
from keras_t2i.callbacks.stopping import decay_seconds
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.errors import Terminated
from keras_t2i.errors import TrainingError
from keras_t2i.errors import interruption_by
from keras_t2i.errors import interruptions_handled
from keras_t2i.linear_decay import linear_decays
from keras_t2i.progress import OnProgress
from keras_t2i.progress import show_progress
from keras_t2i.recipes.base_recipe import BaseRecipe
from keras_t2i.terminal import print_note
from keras_t2i.training.run_folder import RunFolder
from keras_t2i.training.workers import LOST
from keras_t2i.training.workers import LOST_REASON
from keras_t2i.training.workers import Workers

# Lines of TensorFlow's errors that begin so do not say what failed.
_WHERE = ("Graph execution error", "Detected at node", "<stack traces", "\t [[")


def training_split(manifest: Manifest) -> str:
    """Returns the split to train on: all but the test split."""
    if "train" not in manifest.splits:
        raise ValueError(
            "A training needs a data set with the split 'train'. Received: "
            f"one with {sorted(manifest.splits)} alone. Prepare it from a "
            "source that has training images, too."
        )
    return "trainval" if "val" in manifest.splits else "train"


def total_steps(recipe: BaseRecipe, steps_per_epoch: int) -> int | None:
    """Returns the steps of a recipe, `None` where it has `minutes`."""
    if recipe.steps is not None:
        return recipe.steps
    if recipe.epochs is not None:
        return recipe.epochs * steps_per_epoch
    return None


def num_images(manifest: Manifest, split: str) -> int:
    """Returns how many images a split, or `"trainval"`, holds."""
    names = ("train", "val") if split == "trainval" else (split,)
    return sum(manifest.splits[name].num_images for name in names)


def fit_run(
    run: RunFolder,
    model: keras.Model,
    stream: tf.data.Dataset,
    recipe: BaseRecipe,
    steps_per_epoch: int,
    callbacks: Callable[[int], list[keras.callbacks.Callback]] = lambda _: [],
    keep_best: KeepBest | None = None,
) -> KeyboardInterrupt | None:
    """Trains a model in a run folder, starting from its last checkpoint.

    `model` is compiled. It is new, or that of the checkpoint. If its optimizer
    averages weights (`use_ema`), the model has the averages afterwards, and its
    checkpoints have both. `stream` is endless and starts at the checkpoint's
    step. `recipe` gives the duration and the `decay_share`. With a
    `decay_share`, the optimizers must have a `LinearDecay`. `callbacks` is a
    function of the first step, which makes further callbacks. Of several
    workers, only the chief has them. `keep_best` has been resumed at the run's
    last step.

    Returns `KeyboardInterrupt` or `Terminated`, to be raised once the run
    folder is complete, if Ctrl-C or SIGTERM ended the training. Raises
    `FloatingPointError` if it has diverged, `OSError` if the run folder cannot
    be written, and `tf.errors.OpError` if, for example, memory has run out.
    """
    first_step = run.last_step()
    workers, written = run.workers, run.written()
    steps = total_steps(recipe, steps_per_epoch)
    # The chief's, who alone changes the files that this is read from.
    first_seconds = workers.of_chief(run.seconds_until(first_step))
    is_over = workers.of_chief(
        _is_over(run, model, recipe, steps, first_seconds)
    )
    run.cut_metrics(first_step, is_over)
    if is_over:
        optimizer = model.optimizer
        if isinstance(optimizer, keras.optimizers.Optimizer):
            optimizer.finalize_variable_values(model.trainable_weights)
        print_note(
            f"nothing left to train: {first_step} steps, "
            f"{first_seconds / 60:.1f} minutes done"
        )
        return None
    recorder = RunRecorder(
        written.metrics,
        steps_per_epoch,
        first_step=first_step,
        first_seconds=first_seconds,
        keep_best=keep_best,
        agreed=workers.of_chief,
    )
    stop = StopAfter(recorder, steps, recipe.minutes, first_step=first_step)
    decay = []
    decay_share = _decay_share(recipe)
    if decay_share is not None:
        decay = [BeginDecay(stop, decay_share, first_step=first_step)]
    shown = []
    if workers.is_chief:
        shown = callbacks(first_step)
    if workers.is_chief and recipe.tensorboard:
        shown.append(
            TensorBoardWriter(
                run.tensorboard, run.samples, first_step=first_step
            )
        )
    interruptions: list[KeyboardInterrupt] = []
    with (
        show_progress("Training", "steps") as progress,
        _stops_in_order(interruptions),
    ):
        model.fit(
            stream,
            verbose=0,
            shuffle=False,
            callbacks=[
                # First: a step that has diverged is neither recorded nor saved.
                StopOnNaN(run.checkpoints, first_step=first_step),
                # Before the recorder, which writes the measures.
                *([] if keep_best is None else [keep_best]),
                # Before the callbacks that may end the training.
                recorder,
                *decay,
                _StopTogether(stop, workers, interruptions),
                stop,
                _Progress(progress, stop),
                *shown,
                Checkpoints(
                    written.checkpoints,
                    first_step=first_step,
                    keep_best=keep_best,
                    clock=workers.clock,
                ),
            ],
        )
    return interruptions[0] if interruptions else None


def _decay_share(recipe: BaseRecipe) -> float | None:
    return getattr(recipe, "decay_share", None)  # Style encoders have none.


def _is_over(
    run: RunFolder,
    model: keras.Model,
    recipe: BaseRecipe,
    steps: int | None,
    seconds: float,
) -> bool:
    step, minutes = run.last_step(), recipe.minutes
    if steps is not None:
        return step >= steps
    if minutes is None:
        return False
    decay = next(iter(linear_decays(model)), None)
    decay_share = _decay_share(recipe)
    if decay is not None and decay_share is not None:
        if decay.is_under_way(step):
            return False  # The training ends with the decay, not by the clock.
        first, last = decay.first_step, decay.last_step
        if first is not None and last is not None and step >= last:
            # Over, unless the minutes are more now and the decay began early.
            began_at = run.seconds_until(first)
            return began_at >= decay_seconds(minutes, decay_share)
    return seconds >= 60.0 * minutes


@contextlib.contextmanager
def failures_while_running(run: RunFolder) -> Iterator[None]:
    """Turns errors that are not the caller's fault into `TrainingError`.

    These are `OSError` and `tf.errors.OpError`. After a full disk or a lack of
    memory, the run can be resumed as it is. Its config must be written.
    """
    is_one_of_several = run.workers.number > 1
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise TrainingError(
            f"The training was stopped: {_reason(error, is_one_of_several)}. "
            "When that is put right, resume "
            f"{'all workers ' if is_one_of_several else ''}from step "
            f"{run.last_step()} by `resume=True`."
        ) from error


def _reason(error: Exception, is_one_of_several: bool) -> str:
    if not isinstance(error, tf.errors.OpError):
        return str(error)
    if is_one_of_several and isinstance(error, LOST):
        return LOST_REASON
    # Most of the lines say where it failed. An error of this library, raised
    # while a batch is made, is one of them.
    lines = error.message.strip().splitlines()
    for line in lines:
        if line.startswith("ValueError: "):
            return line.removeprefix("ValueError: ").rstrip(".")
    said = [line for line in lines if line and not line.startswith(_WHERE)]
    return (said or [type(error).__name__])[0].rstrip(".")


class _Progress(StepCallback):
    def __init__(self, progress: OnProgress, stop: StopAfter) -> None:
        super().__init__(stop.step)
        self._progress = progress
        self._stop = stop

    def on_step_end(self, step: int, logs: dict[str, Any]) -> None:
        total = self._stop.steps
        if total is None and self._stop.minutes is not None:
            done = self._stop.recorder.seconds / (60.0 * self._stop.minutes)
            # It ends with a recorded step.
            every = self._stop.recorder.every_steps
            total = every * math.ceil(step / min(done, 1.0) / every)
        losses = ", ".join(
            f"{name.replace('_', ' ')} {float(value):.3g}"
            for name, value in logs.items()
            if name.endswith("loss")
        )
        self._progress(step, step if total is None else total, losses)


class _StopTogether(StepCallback):
    """Stops all workers where one of them was interrupted."""

    def __init__(
        self,
        stop: StopAfter,
        workers: Workers,
        interruptions: list[KeyboardInterrupt],
    ) -> None:
        super().__init__(stop.step)
        self._stop = stop
        self._workers = workers
        self._interruptions = interruptions

    def on_step_end(self, step: int, logs: dict[str, Any]) -> None:
        if step % self._stop.recorder.every_steps:
            return
        ours = [type(one).__name__ for one in self._interruptions]
        of_all = self._workers.gathered(ours)
        if not any(of_all):
            return
        self._stop.request()
        if not ours:
            is_terminated = any(Terminated.__name__ in one for one in of_all)
            self._interruptions.append(
                Terminated() if is_terminated else KeyboardInterrupt()
            )


@contextlib.contextmanager
def _stops_in_order(interruptions: list[KeyboardInterrupt]) -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM end the training cleanly; a second one at once.

    Puts what has come into the list.
    """

    def on_signal(number: int, frame: object) -> None:
        as_before()
        interruptions.append(interruption_by(number))
        print_note(
            "finishing the current steps and saving; Ctrl-C again stops at once"
        )

    with interruptions_handled(on_signal) as as_before:
        yield


def set_up(recipe: BaseRecipe) -> None:
    """Seeds all random generators and sets the precision of new layers."""
    keras.utils.set_random_seed(recipe.seed)
    # Only recipes of GANs have a precision.
    precision = getattr(recipe, "precision", "float32")
    keras.mixed_precision.set_dtype_policy(precision)
