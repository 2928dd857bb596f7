"""Commands are killed at random moments, and started again."""

import io
import os
import random
import select
import shutil
import signal
import time
import zipfile

import h5py
import numpy as np

from benchmarks.faults import children
from benchmarks.faults.operations import damage_in
from benchmarks.faults.operations import make_operations
from keras_t2i.callbacks import Checkpoints
from keras_t2i.callbacks.checkpoints import checkpoint_path
from keras_t2i.callbacks.checkpoints import checkpoint_steps
from keras_t2i.keras_files import load_keras_file

# After so many kills, a command may run to its end, and is compared.
_KILLS_IN_A_ROW = 10
# The last is `Checkpoints` alone, which saves again and again.
_SHARES = {
    "prepare": 0.2,
    "embed": 0.2,
    "train": 0.16,
    "train-style": 0.12,
    "export": 0.12,
}
_CHECKPOINT = "checkpoint"
_SECONDS_OF_SAVES = 1.0


def run(counts, whole, folder, count, seed):
    """Kills `count` times, at moments that `seed` decides."""
    generator = random.Random(seed)
    operations = make_operations(whole)
    seconds = {name: op.run_undisturbed() for name, op in operations.items()}
    done = 0
    for name, share in _SHARES.items():
        number = max(1, round(share * count))
        done += number
        _kill(
            *(counts, operations[name], folder / "killed", number),
            *(seconds[name], generator),
        )
    source = operations["train"].whole / "model.keras"
    arguments = (source, folder / "saved", max(1, count - done), generator)
    status, printed = children.run(_kill_while_saving, *arguments)
    for line in printed.splitlines():
        outcome, _, reason = line.partition(" ")
        counts.add(_CHECKPOINT, outcome, reason)
    if status:
        raise RuntimeError(f"{status}: {printed[-2000:]}")


def _kill(counts, operation, out, number, seconds, generator):
    kills = 0
    while kills < number:
        pid = children.start(operation.run, out)
        time.sleep(generator.uniform(0, seconds))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            kills += 1
            reason = damage_in(out)
            if reason is None and kills % _KILLS_IN_A_ROW == 0:
                reason = operation.end(out)
            counts.add(operation.name, "lost" if reason else "harmless", reason)
        else:
            # It was done before.
            reason = operation.difference(out)
            if reason:
                counts.add(operation.name, "lost", reason)
        if reason:
            shutil.rmtree(out, ignore_errors=True)
    if out.exists():
        reason = operation.end(out)
        if reason:
            counts.add(operation.name, "lost", reason)
    print(f"{operation.name}: {kills} kills", flush=True)


def _kill_while_saving(source, folder, number, generator):
    model = load_keras_file(source, compile=True)
    for _ in range(number):
        before = max(checkpoint_steps(folder), default=0)
        reading, writing = os.pipe()
        pid = children.start(_save_again_and_again, model, folder, writing)
        select.select([reading], [], [])
        time.sleep(generator.uniform(0, _SECONDS_OF_SAVES))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)
        reason = damage_in(folder)
        steps = checkpoint_steps(folder)
        # The last one is always there, and one before it from the second on.
        if not steps or steps[-1] < before:
            reason = f"checkpoints of steps {steps}, {before} before"
        elif not all(
            _is_same(checkpoint_path(folder, s), source) for s in steps
        ):
            reason = "other weights"
        print("lost" if reason else "harmless", reason or "", flush=True)


def _is_same(file, other):
    arrays, others = _arrays(file), _arrays(other)
    return arrays.keys() == others.keys() and all(
        np.array_equal(arrays[name], others[name]) for name in arrays
    )


def _arrays(file):
    """All arrays of the weights of a `.keras` file."""
    arrays = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with zipfile.ZipFile(file) as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights, "r") as weights:
        weights.visititems(add)
    return arrays


def _save_again_and_again(model, folder, ready):
    step = max(checkpoint_steps(folder), default=0)
    checkpoints = Checkpoints(folder, every_seconds=0, first_step=step)
    checkpoints.set_model(model)
    checkpoints.on_train_begin()
    while True:
        step += checkpoints.every_steps
        checkpoints.on_step_end(step, {})
        os.write(ready, b".")
