"""What all trainings do alike."""

import contextlib
import math
import signal
import sys
from collections.abc import Callable
from collections.abc import Iterator

import keras
import tensorflow as tf

from keras_t2i.callbacks.checkpoints import Checkpoints
from keras_t2i.callbacks.checkpoints import KeepBest
from keras_t2i.callbacks.failures import StopOnNaN
from keras_t2i.callbacks.run_recorder import RunRecorder
from keras_t2i.callbacks.step_callback import StepCallback
from keras_t2i.callbacks.tensorboard_writer import TensorBoardWriter
from keras_t2i.callbacks.training_end import BeginDecay
from keras_t2i.callbacks.training_end import StopAfter
from keras_t2i.callbacks.training_end import decay_seconds
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.errors import TrainingError
from keras_t2i.linear_decay import linear_decays
from keras_t2i.progress import show_progress
from keras_t2i.recipes.base_recipe import BaseRecipe
from keras_t2i.training.run_folder import RunFolder

# What begins those lines of TensorFlow's errors that do not say what failed.
_WHERE = ("Graph execution error", "Detected at node", "<stack traces", "\t [[")


def training_split(manifest: Manifest) -> str:
    """Returns the split to train on: all but the test split."""
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
    make_stream: Callable[[int], tf.data.Dataset],
    recipe: BaseRecipe,
    num_images: int,
    callbacks: Callable[[int], list[keras.callbacks.Callback]] = lambda _: [],
    keep_best: KeepBest | None = None,
) -> bool:
    """Trains a model in a run folder, from its last checkpoint on.

    Where the model's `optimizer` averages weights (`use_ema`), the model has
    the averages afterwards, and its checkpoints both.

    Args:
        run: `RunFolder`. Its metrics are cut back to its last checkpoint.
        model: compiled `keras.Model`, as new or of that checkpoint.
        make_stream: function of a step to an endless `tf.data.Dataset`.
        recipe: its duration counts and, where it has one, its `decay_share`;
            the optimizers have `LinearDecay` then.
        num_images: int. Images of an epoch.
        callbacks: function of the first step to a list of callbacks. Defaults
            to none but those that every run has.
        keep_best: `KeepBest`, of the run's last step. Defaults to `None`.

    Returns:
        bool. Whether Ctrl-C ended the training.

    Raises:
        FloatingPointError: the training has diverged.
        OSError: the run folder cannot be written.
        tf.errors.OpError: TensorFlow has failed, as where memory runs out or
            the data of a step are bad.
    """
    first_step = run.last_step()
    stream = make_stream(first_step)
    batch_size = next(iter(stream.element_spec.values())).shape[0]
    steps_per_epoch = max(1, num_images // batch_size)
    first_seconds = run.cut_metrics(first_step)
    steps = total_steps(recipe, steps_per_epoch)
    minutes, decay_share = recipe.minutes, recipe.decay_share
    if steps is not None:
        is_over = first_step >= steps
    else:
        is_over = _time_is_over(
            run, model, first_step, first_seconds, minutes, decay_share
        )
    if is_over:
        optimizer = model.optimizer
        if isinstance(optimizer, keras.optimizers.Optimizer):
            optimizer.finalize_variable_values(model.trainable_weights)
        print(
            f"nothing left to train: {first_step} steps, "
            f"{first_seconds / 60:.1f} minutes done",
            file=sys.stderr,
        )
        return False
    recorder = RunRecorder(
        run.metrics,
        steps_per_epoch,
        first_step=first_step,
        first_seconds=first_seconds,
        keep_best=keep_best,
    )
    stop = StopAfter(recorder, steps, minutes, first_step=first_step)
    decay = []
    if decay_share is not None:
        decay = [BeginDecay(stop, decay_share, first_step=first_step)]
    writer = []
    if recipe.tensorboard:
        writer = [
            TensorBoardWriter(
                run.tensorboard, run.samples, first_step=first_step
            )
        ]
    with (
        show_progress("Training", "steps") as progress,
        _stops_in_order(stop),
    ):
        model.fit(
            stream,
            verbose=0,
            shuffle=False,
            callbacks=[
                # What has diverged is neither recorded nor saved.
                StopOnNaN(run.checkpoints, first_step=first_step),
                # Before what records its measures.
                *([] if keep_best is None else [keep_best]),
                # Before what may end the training.
                recorder,
                *decay,
                stop,
                _Progress(progress, stop),
                *callbacks(first_step),
                *writer,
                Checkpoints(
                    run.checkpoints, first_step=first_step, keep_best=keep_best
                ),
            ],
        )
    return stop.requested


def _time_is_over(run, model, first_step, first_seconds, minutes, decay_share):
    decays = linear_decays(model) if decay_share is not None else []
    if decays and decays[0].is_under_way(first_step):
        return False  # It ends with the decay, whatever the clock says.
    if decays and decays[0].last_step is not None:
        if first_step >= decays[0].last_step:
            # Over, unless with more minutes the decay had begun later.
            began_at = run.seconds_until(decays[0].first_step)
            return began_at >= decay_seconds(minutes, decay_share)
    return first_seconds >= 60.0 * minutes


@contextlib.contextmanager
def failures_while_running(run: RunFolder) -> Iterator[None]:
    """Turns what ends a training that was rightly begun into `TrainingError`.

    A full disk or a lack of memory: what was asked for may be right, and the
    run goes on when there is room.

    Args:
        run: `RunFolder`, with its config written.

    Raises:
        TrainingError: in place of `OSError` and `tf.errors.OpError`.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise TrainingError(
            f"The training was stopped: {_reason(error)}. When that is put "
            f"right, go on from step {run.last_step()} by `resume=True`."
        ) from error


def _reason(error):
    if not isinstance(error, tf.errors.OpError):
        return str(error)
    # Of many lines, most say where. An error of our own, raised while a batch
    # is made, is one of them.
    lines = error.message.strip().splitlines()
    for line in lines:
        if line.startswith("ValueError: "):
            return line.removeprefix("ValueError: ").rstrip(".")
    said = [line for line in lines if line and not line.startswith(_WHERE)]
    return (said or [type(error).__name__])[0].rstrip(".")


class _Progress(StepCallback):
    def __init__(self, progress, stop):
        super().__init__(stop.step)
        self._progress = progress
        self._stop = stop

    def on_step_end(self, step, logs):
        total = self._stop.steps
        if total is None:
            done = self._stop.recorder.seconds / (60.0 * self._stop.minutes)
            total = max(step + 1, math.ceil(step / done)) if done < 1 else step
        self._progress(step, total)


@contextlib.contextmanager
def _stops_in_order(stop):
    """Lets Ctrl-C end the training in order; a second one ends it at once."""
    previous = signal.getsignal(signal.SIGINT)

    def on_interrupt(number, frame):
        signal.signal(signal.SIGINT, previous)
        stop.request()
        print(
            "finishing the current steps and saving; Ctrl-C again to stop at "
            "once",
            file=sys.stderr,
        )

    with contextlib.suppress(ValueError):  # Not in the main thread.
        signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGINT, previous)


def set_up(recipe: BaseRecipe) -> None:
    """Seeds all random generators and sets the precision of new layers."""
    keras.utils.set_random_seed(recipe.seed)
    keras.mixed_precision.set_dtype_policy(recipe.precision)
