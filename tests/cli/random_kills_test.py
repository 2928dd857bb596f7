"""A training killed again and again ends as one that nobody touched."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from keras_t2i.callbacks.checkpoints import checkpoint_steps
from tests.cli.conftest import GAN_OPTIONS
from tests.cli.run_states import assert_same_state
from tests.cli.run_states import lines_of

# Checkpoints every ten steps, where they are a minute apart otherwise, and a
# schedule that has to be latched, saved and gone on with.
_TRAIN = """
import functools
import sys

from keras_t2i.callbacks import Checkpoints
from keras_t2i.cli.main import main
from keras_t2i.recipes.base_recipe import presets
from keras_t2i.training import runner

runner.Checkpoints = functools.partial(Checkpoints, every_seconds=0)
presets("gan")["gan_int_cls"].update(
    matching_accuracy_threshold=0.99, matching_patience=20
)
sys.exit(main(sys.argv[1:]))
"""


def _start(*argv):
    return subprocess.Popen(
        [sys.executable, "-c", _TRAIN, *(str(part) for part in argv)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _recorded_step(run):
    """The step of the last whole line of a run; 0 where there is none."""
    try:
        text = (run / "metrics.jsonl").read_text()
    except FileNotFoundError:
        return 0
    lines = text[: text.rfind("\n") + 1].splitlines()
    return json.loads(lines[-1])["step"] if lines else 0


def _wait_for_a_line(process, run):
    """Until the metrics of more steps are there than now."""
    recorded = _recorded_step(run)
    while _recorded_step(run) <= recorded:
        assert process.poll() is None
        time.sleep(0.02)


# resume_test.py and keep_best_test.py kill a training at chosen moments, in all
# runs of the tests.
@pytest.mark.large
@pytest.mark.parametrize(("num_kills", "num_steps"), [(4, 600), (20, 2000)])
def test_random_kills_leave_no_trace(
    data, text_run, tmp_path, num_kills, num_steps
):
    options = ["train", "--data", data, "--text-encoder", text_run]
    options += [*GAN_OPTIONS, "--steps", num_steps, "--out"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    started = time.monotonic()
    process = _start(*options, whole)
    _wait_for_a_line(process, whole)
    seconds_to_start = time.monotonic() - started
    process.communicate(timeout=600)
    assert process.returncode == 0

    generator = random.Random(0)
    for number in range(num_kills):
        # A run that was killed before it had a config is started anew.
        if (run / "config.json").exists():
            process = _start("train", "--out", run, "--resume")
        else:
            process = _start(*options, run)
        if number % 2:
            _wait_for_a_line(process, run)
            seconds = generator.uniform(0.0, 1.0)
        else:
            # While it starts, which takes longer than anything else.
            seconds = generator.uniform(0.0, seconds_to_start)
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert process.returncode == -signal.SIGKILL, "raise num_steps"
    assert max(checkpoint_steps(run / "checkpoints")) >= 10
    process = _start("train", "--out", run, "--resume")
    process.communicate(timeout=600)
    assert process.returncode == 0

    assert_same_state(run / "model.keras", whole / "model.keras")
    assert lines_of(run) == lines_of(whole)
    assert lines_of(run)[0]["mismatch_weight"] == 0
    assert lines_of(run)[-1]["mismatch_weight"] > 0
