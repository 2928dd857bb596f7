import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.models.worker import sums
from tests.models.worker import trained

_REPOSITORY = pathlib.Path(__file__).parents[2]


def _free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.large
def test_two_workers_take_the_steps_of_one_device():
    addresses = [f"localhost:{port}" for port in _free_ports(2)]
    workers = []
    for index in range(2):
        config = {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": index},
        }
        workers.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.models.worker"],
                cwd=_REPOSITORY,
                env={**os.environ, "TF_CONFIG": json.dumps(config)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    gan, logs = trained(tf.distribute.get_strategy())
    try:
        for worker in workers:
            out, error = worker.communicate(timeout=240)
            assert worker.returncode == 0, error[-2000:]
            found = json.loads(out)
            assert found["logs"] == pytest.approx(logs, abs=1e-5)
            # Batch norm's moving statistics too, alike on both workers.
            np.testing.assert_allclose(found["sums"], sums(gan), rtol=1e-4)
    finally:
        for worker in workers:
            worker.kill()
