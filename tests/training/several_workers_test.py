"""Workers on this machine, connected by loopback, as one process would train.

They are slow: each takes its time to import TensorFlow and to trace a step.
"""

import json
import random
import signal
import subprocess
import time

import keras
import numpy as np
import pytest

from keras_t2i.callbacks.checkpoints import checkpoint_steps
from keras_t2i.cli.main import main
from tests.cli.run_states import assert_same_state
from tests.cli.run_states import lines_of
from tests.training.cluster import Cluster
from tests.training.cluster import run_with_sgd

pytestmark = pytest.mark.large

_BATCH_SIZE = 16
_NUM_KILLS = 10
_LOST = "another worker has ended, or cannot be reached"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blooms") / "data"
    options = ["--num-images", 60, "--image-size", 32]
    _run("prepare", "blooms", "--out", folder, *options)
    return folder


@pytest.fixture(scope="module")
def options(data, tmp_path_factory):
    """Those of `train` but for `--steps`, `--strategy` and `--out`."""
    text = tmp_path_factory.mktemp("text") / "run"
    _run("train-text", "--data", data, "--out", text, "--steps", 2)
    return [
        *("train", "--data", data, "--text-encoder", text),
        *("--width", 4, "--batch-size", _BATCH_SIZE),
    ]


@pytest.fixture(scope="module")
def alone(options, tmp_path_factory):
    """Twenty steps of one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert run_with_sgd([*options, "--steps", 20, "--out", folder]) == 0
    return folder


@pytest.fixture(scope="module")
def pair(options, tmp_path_factory):
    """Twenty steps of two workers that nobody disturbs."""
    folder = tmp_path_factory.mktemp("pair")
    _train(folder, 2, [*options, "--steps", 20])
    return folder / "run"


def _run(*argv):
    assert main([str(argument) for argument in argv]) == 0


def _cluster(folder, number, argv, **more):
    argv = [*argv, "--strategy", "multi_worker", "--out", folder / "run"]
    return Cluster(folder, [argv] * number, **more)


def _train(folder, number, argv, **more):
    cluster = _cluster(folder, number, argv, **more)
    outputs = [cluster.output(index) for index in range(number)]
    assert cluster.ended() == [0] * number, outputs
    return cluster


def _weights(file):
    return [
        np.array(weight) for weight in keras.saving.load_model(file).weights
    ]


def _assert_as_alone(run, alone):
    pairs = zip(_weights(run / "model.keras"), _weights(alone / "model.keras"))
    for weight, expected in pairs:
        difference = np.linalg.norm(weight - expected)
        assert difference <= 1e-4 * np.linalg.norm(expected)
    for line, expected in zip(lines_of(run), lines_of(alone), strict=True):
        assert line == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_two_workers_take_the_steps_of_one_process(pair, alone):
    _assert_as_alone(pair, alone)
    files = [path.relative_to(alone) for path in alone.rglob("*")]
    assert {path.relative_to(pair) for path in pair.rglob("*")} == set(files)
    # They have learned something that could differ.
    folder = alone / "checkpoints"
    assert checkpoint_steps(folder) == [10, 20]
    moved = zip(
        *(_weights(folder / f"step-000000{step}.keras") for step in (10, 20))
    )
    assert max(np.abs(after - before).max() for before, after in moved) > 0.01


def test_four_workers_take_the_steps_of_one_process(options, alone, tmp_path):
    cluster = _train(tmp_path, 4, [*options, "--steps", 20])
    _assert_as_alone(tmp_path / "run", alone)
    # The chief speaks for all.
    assert "Training: 20 of 20 steps" in cluster.output(0)
    assert "Training" not in cluster.output(3)


@pytest.mark.parametrize(
    ("number", "status", "last_line"),
    [
        (signal.SIGTERM, 143, "keras-t2i: terminated"),
        (signal.SIGINT, 130, "keras-t2i: interrupted"),
    ],
)
def test_a_signal_stops_all_and_they_resume(
    options, pair, tmp_path, number, status, last_line
):
    run = tmp_path / "run"
    argv = [*options, "--steps", 20]
    cluster = _cluster(tmp_path, 2, argv, checkpoints_every=1)
    # Both have begun to train: no worker saves alone.
    _wait_until(cluster, lambda: any(run.glob("checkpoints/*.keras")))
    cluster.processes[1].send_signal(number)
    assert cluster.ended() == [status, status]
    for index in range(2):
        assert cluster.output(index).splitlines()[-1] == last_line
    assert max(checkpoint_steps(run / "checkpoints")) == 10
    cluster = Cluster(tmp_path, [["train", "--out", run, "--resume"]] * 2)
    assert cluster.ended() == [0, 0]
    assert_same_state(run / "model.keras", pair / "model.keras")
    assert lines_of(run) == lines_of(pair)


def _wait_until(cluster, is_so):
    while not is_so():
        assert all(one.poll() is None for one in cluster.processes)
        time.sleep(0.05)


def test_workers_killed_at_random_lose_nothing(options, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    argv = [*options, "--steps", 1000]
    started = time.monotonic()
    cluster = _cluster(whole, 2, argv)
    _wait_until(cluster, (whole / "run" / "metrics.jsonl").is_file)
    seconds_to_start = time.monotonic() - started
    assert cluster.ended() == [0, 0]
    run = tmp_path / "run"
    argv += ["--strategy", "multi_worker", "--out", run]
    generator = random.Random(0)
    kept = []
    for _ in range(_NUM_KILLS):
        if (run / "config.json").exists():
            argv = ["train", "--out", run, "--resume"]
        cluster = Cluster(tmp_path, [argv] * 2)
        killed = generator.randrange(2)
        time.sleep(generator.uniform(0.0, 2.5 * seconds_to_start))
        cluster.processes[killed].kill()
        status = _end_of_survivor(cluster, 1 - killed)
        output = cluster.output(1 - killed)
        assert status in (1, None), output
        if status is not None:
            assert "Traceback" not in output
            assert _LOST in output.splitlines()[-1].lower(), output
        kept.append(max(checkpoint_steps(run / "checkpoints"), default=0))
    # In both phases: while they start, and while they train.
    assert kept == sorted(kept)
    assert 2 < len(set(kept)) <= _NUM_KILLS
    argv = ["train", "--out", run, "--resume"]
    assert Cluster(tmp_path, [argv] * 2).ended() == [0, 0]
    assert_same_state(run / "model.keras", whole / "run" / "model.keras")
    assert lines_of(run) == lines_of(whole / "run")


def _end_of_survivor(cluster, index):
    """The status of a worker whose other one was killed.

    `None` if that one had not come yet: it would be waited for.
    """
    try:
        return cluster.processes[index].wait(60)
    except subprocess.TimeoutExpired:
        waits = f"worker {index} of 2 waits for the others"
        assert cluster.output(index).splitlines() == [waits]
        return None
    finally:
        cluster.kill()


# === Workers that do not fit each other ===


def _errors(folder, commands):
    cluster = Cluster(folder, commands)
    statuses = cluster.ended()
    lines = [
        cluster.output(index).splitlines()[-1] for index in range(len(commands))
    ]
    return statuses, lines


def test_other_data(options, data, tmp_path):
    other = tmp_path / "data"
    _run(
        *("prepare", "blooms", "--out", other),
        *("--num-images", 61, "--image-size", 32),
    )
    argv = [*options, "--steps", 3, "--strategy", "multi_worker"]
    argv += ["--out", tmp_path / "run"]
    argv_of_other = [other if part == data else part for part in argv]
    statuses, lines = _errors(tmp_path, [argv, argv_of_other])
    assert statuses == [2, 2]
    for line in lines:
        assert "All workers must have the same digest of --data" in line
    assert not (tmp_path / "run").exists()


def test_an_input_that_one_worker_does_not_have(options, data, tmp_path):
    argv = [*options, "--steps", 3, "--strategy", "multi_worker"]
    argv += ["--out", tmp_path / "run"]
    missing = tmp_path / "none"
    argv_of_other = [missing if part == data else part for part in argv]
    statuses, lines = _errors(tmp_path, [argv, argv_of_other])
    assert statuses == [1, 2]
    assert lines[0].startswith("keras-t2i: Worker 1 has failed: ")
    assert str(missing) in lines[0] and str(missing) in lines[1]
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_is_not_shared(pair, tmp_path):
    """Both can resume a run, but not from the same step."""
    other = tmp_path / "run"
    (other / "checkpoints").mkdir(parents=True)
    config = json.loads((pair / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config))
    commands = [["train", "--out", out, "--resume"] for out in (pair, other)]
    statuses, lines = _errors(tmp_path, commands)
    assert statuses == [2, 2]
    for line in lines:
        assert "Received: 20 on worker 0, 0 on worker 1" in line
        assert "last step in --out, which they must share" in line
