"""The processes that train one model together: workers, or one alone."""

import contextlib
import functools
import json
import os
import pathlib
import signal
import time
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any
from typing import TypeVar

import keras
import numpy as np
import tensorflow as tf

from keras_t2i.errors import FailedWhileRunning
from keras_t2i.errors import TrainingError
from keras_t2i.errors import interruptions_handled
from keras_t2i.terminal import print_note
from keras_t2i.types import Tensor

Result = TypeVar("Result")

# What TensorFlow raises on the others when a worker has ended.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
LOST_REASON = (
    "another worker has ended, or cannot be reached; its own output says why"
)
# Disks of networks show a new file to other machines within half a minute.
_SECONDS_UNTIL_SEEN = 60
_EXAMPLE = (
    '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", '
    '"index": 0}}'
)


class Workers:
    """This process among those that train one model together.

    All of them take the same steps, each with its rows of every batch. What
    depends on a clock, a signal or a file is agreed between them: a worker that
    took another decision would wait for the others forever. The chief, worker
    0, writes the run folder. A process alone is the chief.

    Each method but `scope` must be called by all workers, in the same order.
    `index` is the place of this worker among the `number` of them.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy, index: int = 0, number: int = 1
    ) -> None:
        self.strategy = strategy
        self.index = index
        self.number = number
        self.is_chief = index == 0
        self.num_devices = strategy.num_replicas_in_sync

        def of_all(codes: Tensor) -> Tensor:
            replica = tf.distribute.get_replica_context()
            # TensorFlow looks at the device, which an argument has not.
            return replica.all_gather(tf.identity(codes), axis=0)

        def gather(codes: Tensor) -> Tensor:
            results = strategy.run(of_all, args=(codes,))
            return strategy.experimental_local_results(results)[0]

        # Once, since tracing takes a second. int64 is what all devices gather.
        codes = tf.TensorSpec([None], tf.int64)
        self._gather = tf.function(
            gather, input_signature=(codes,), autograph=False
        )

    def gathered(self, value: Any) -> list[Any]:
        """Returns what each worker has passed, which must fit into JSON.

        Raises `tf.errors.OpError`, one of `LOST`, if another worker has ended.
        """
        if self.number == 1:
            return [value]
        text = json.dumps(value) + "\n"
        codes = np.frombuffer(text.encode(), np.uint8).astype(np.int64)
        codes = np.array(self._gather(codes), np.uint8)
        lines = codes.tobytes().decode().split("\n")[:-1]
        # Each device of a worker has sent its value.
        devices = self.num_devices // self.number
        return [json.loads(line) for line in lines[::devices]]

    def of_chief(self, value: Any) -> Any:
        """Returns the chief's value, which must fit into JSON."""
        return self.gathered(value)[0]

    def clock(self) -> float:
        """Returns the chief's monotonic time, in seconds."""
        return self.of_chief(time.monotonic())

    def by_chief(self, function: Callable[..., Result]) -> Callable[..., Any]:
        """Returns a function that the chief calls, for the result of all."""

        def call(*arguments: Any) -> Any:
            result = function(*arguments) if self.is_chief else None
            return self.of_chief(result)

        return call

    def own_copy(self, model: keras.Model) -> keras.Model:
        """Returns a model that this worker can predict with by itself."""
        if self.number == 1:
            return model
        copy = type(model).from_config(model.get_config())
        copy.set_weights(model.get_weights())
        return copy

    def chief_first(self, function: Callable[[], Result]) -> Result:
        """Calls a function on the chief and then on the others.

        They find what the chief has kept on a disk that they share.
        """
        results = []
        for is_turn in (self.is_chief, not self.is_chief):
            with self.together():
                if is_turn:
                    results.append(function())
        return results[0]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Has all workers leave the block, or none if it fails on one.

        Variables must not be made in the block, since that waits for the other
        workers too. Raises `TrainingError` if the block has failed on another
        worker.
        """
        if self.number == 1:
            yield
            return
        try:
            yield
        except (ValueError, OSError, FailedWhileRunning) as error:
            self._wait_for_all(str(error))
            raise
        for index, reason in enumerate(self._wait_for_all(None)):
            if reason is not None:
                raise TrainingError(f"Worker {index} has failed: {reason}")

    def _wait_for_all(self, value: str | None) -> list[str | None]:
        # It may take long, and TensorFlow waits without looking at signals.
        with _losses_named(), interruptions_handled(signal.SIG_DFL):
            return self.gathered(value)

    def wait_for_file(self, path: pathlib.Path) -> None:
        """Raises `ValueError` if this worker does not see a file of the chief.

        `path` is that of a file in `out`.
        """
        started = time.monotonic()
        while not path.exists():
            if time.monotonic() - started > _SECONDS_UNTIL_SEEN:
                raise ValueError(
                    "`out` must be one folder that all workers share. "
                    f"Received: {str(path.parent)!r}, in which worker "
                    f"{self.index} does not see what worker 0 has written. "
                    "Name a folder on a disk that they share."
                )
            time.sleep(1)

    def check_same(self, values: dict[str, Any]) -> None:
        """Raises `ValueError` if a value differs between workers.

        `values` maps what each value is to the value.
        """
        with _losses_named():
            ours, *others = self.gathered(values)
        for index, theirs in enumerate(others, 1):
            for name, value in ours.items():
                if theirs.get(name) != value:
                    raise ValueError(
                        f"All workers must have the same {name}. Received: "
                        f"{value} on worker 0, {theirs.get(name)} on worker "
                        f"{index}. Start all of them in the same way."
                    )

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Makes a model whose variables all workers have.

        Raises `TrainingError` if another worker has ended.
        """
        with _losses_named(), self.strategy.scope():
            yield


def start_workers(strategy: str) -> Workers:
    """Returns this process among the workers of a strategy.

    `strategy` is as of `Recipe`. With `"multi_worker"` it returns when all
    workers are there; it must be called before anything else that TensorFlow
    does. Raises `ValueError` if there is no cluster or TensorFlow has been
    used, `TrainingError` if the workers do not find each other.
    """
    if strategy == "multi_worker":
        return _workers_of_cluster()
    if strategy == "mirrored":
        return Workers(tf.distribute.MirroredStrategy())
    return Workers(tf.distribute.get_strategy())


# A process can join one cluster, once.
@functools.cache
def _workers_of_cluster() -> Workers:
    index, number = _place_in_cluster()
    print_note(f"worker {index} of {number} waits for the others")
    try:
        # TensorFlow waits for up to an hour, without looking at signals.
        with interruptions_handled(signal.SIG_DFL):
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ValueError(
            "A process must join the other workers before TensorFlow has done "
            f"anything else. Received: {error}. Call `keras_t2i.train` first."
        ) from error
    except tf.errors.OpError as error:
        raise TrainingError(
            "The workers must reach each other at the addresses in TF_CONFIG. "
            f"Received: {error.message.splitlines()[0]}"
        ) from error
    return Workers(strategy, index, number)


def _place_in_cluster() -> tuple[int, int]:
    """Returns the index of this worker and the number of all.

    Puts a cluster of SLURM into TF_CONFIG, where TensorFlow looks for it.
    """
    if "TF_CONFIG" not in os.environ and "SLURM_PROCID" in os.environ:
        os.environ["TF_CONFIG"] = json.dumps(_cluster_of_slurm())
    text = os.environ.get("TF_CONFIG")
    if text is None:
        raise ValueError(
            "`strategy` multi_worker needs TF_CONFIG in the environment, such "
            f"as {_EXAMPLE}, or a step of a SLURM job. Received: neither. "
            "docs/several_devices.md shows both."
        )
    try:
        config = json.loads(text)
        task, cluster = config["task"], config["cluster"]
        addresses = [*cluster.pop("chief", ()), *cluster.pop("worker", ())]
        # Worker 0 follows the chief, if there is one.
        first = len(json.loads(text)["cluster"].get("chief", ()))
        index = int(task["index"])
        index += {"chief": 0, "worker": first}[task["type"]]
        is_right = (
            not cluster
            and first <= 1
            and 0 <= index < len(addresses)
            and all(isinstance(address, str) for address in addresses)
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        is_right = False
    if not is_right:
        raise ValueError(
            "TF_CONFIG must name the addresses of all workers, and which of "
            "them this one is. There may be one chief, and nothing but "
            f"workers beside it. Expected: such as {_EXAMPLE}. Received: "
            f"{text!r}."
        )
    return index, len(addresses)


def _cluster_of_slurm() -> dict[str, Any]:
    try:
        # It finds the names of the nodes. The devices of a task are those that
        # SLURM shows it: this resolver cannot do without GPUs.
        tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )
        cluster = resolver.cluster_spec().as_dict()
        index = resolver.task_id
        host = cluster["worker"][index].rpartition(":")[0]
    except (RuntimeError, ValueError, LookupError) as error:
        raise ValueError(
            "Under SLURM, the workers must be the tasks of one step: `srun "
            f"keras-t2i train ...`. Received: {error}"
        ) from error
    # The resolver takes nodes in the order of their names.
    node = os.environ.get("SLURMD_NODENAME", host)
    if node != host:
        raise ValueError(
            "SLURM's nodes must be in the order of their names, one task after "
            f"another on each. Received: task {index} on {node}, where "
            f"TensorFlow expects {host}. Set TF_CONFIG instead."
        )
    return {"cluster": cluster, "task": {"type": "worker", "index": index}}


@contextlib.contextmanager
def _losses_named() -> Iterator[None]:
    try:
        yield
    except LOST as error:
        raise TrainingError(
            f"{LOST_REASON.capitalize()}. Start all workers again."
        ) from error
