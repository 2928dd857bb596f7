"""Workers on this machine, and the one that this file is when it is run.

A worker runs a command with SGD in place of Adam, which hides how large
gradients are, and with checkpoints every few steps. Nothing in its step has a
kink, where the order in which numbers are added could change a gradient: the
activations are smooth, and there is no mode seeking loss, whose kink is where
images are alike, as untrained ones are.
"""

import contextlib
import functools
import json
import os
import pathlib
import socket
import subprocess
import sys

import keras_t2i  # noqa: F401  First: it sets TensorFlow up.

# isort: split
import keras
import pytest

from keras_t2i import Recipe
from keras_t2i.callbacks.checkpoints import Checkpoints
from keras_t2i.cli.main import main
from keras_t2i.training import gan_training
from keras_t2i.training import runner

_REPOSITORY = pathlib.Path(__file__).parents[2]
_SECONDS = 600


def run_with_sgd(argv, checkpoints_every=10):
    """Runs a command in this process; returns its status."""
    from_preset = Recipe.from_preset
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            *(Recipe, "from_preset"),
            lambda name: from_preset(name).override(mode_seeking_weight=0.0),
        )
        patch.setattr(
            gan_training, "gan_optimizer", lambda *_: keras.optimizers.SGD(0.05)
        )
        for layer, slope in (
            (keras.layers.LeakyReLU, 0.2),
            (keras.layers.ReLU, 0.0),
        ):
            patch.setattr(layer, "call", _smooth(slope))
        checkpoints = functools.partial(
            Checkpoints, every_steps=checkpoints_every, every_seconds=0
        )
        patch.setattr(runner, "Checkpoints", checkpoints)
        return main([str(argument) for argument in argv])


def _smooth(slope):
    def call(layer, inputs):
        rising = (1.0 - slope) * keras.ops.softplus(inputs)
        return slope * inputs + rising

    return call


def _free_addresses(number):
    with contextlib.ExitStack() as sockets:
        servers = [
            sockets.enter_context(socket.create_server(("localhost", 0)))
            for _ in range(number)
        ]
        return [f"localhost:{one.getsockname()[1]}" for one in servers]


class Cluster:
    """Workers that run commands, each with its output in a file.

    Args:
        folder: `pathlib.Path` of these files.
        commands: list of one command, a list, for each worker.
        checkpoints_every: int. Steps between two checkpoints.
    """

    def __init__(self, folder, commands, checkpoints_every=10):
        addresses = _free_addresses(len(commands))
        self._outputs = []
        self.processes = []
        for index, argv in enumerate(commands):
            config = {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            }
            self._outputs.append(folder / f"worker-{index}.txt")
            with open(self._outputs[-1], "w", encoding="utf-8") as output:
                self.processes.append(
                    subprocess.Popen(
                        [
                            *(sys.executable, "-m", "tests.training.cluster"),
                            *(str(checkpoints_every), *map(str, argv)),
                        ],
                        cwd=_REPOSITORY,
                        env={**os.environ, "TF_CONFIG": json.dumps(config)},
                        stdout=output,
                        stderr=subprocess.STDOUT,
                    )
                )

    def output(self, index):
        return self._outputs[index].read_text("utf-8")

    def ended(self):
        """Waits for all workers; returns their statuses."""
        try:
            return [one.wait(_SECONDS) for one in self.processes]
        finally:
            self.kill()

    def kill(self):
        for process in self.processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(run_with_sgd(sys.argv[2:], int(sys.argv[1])))
