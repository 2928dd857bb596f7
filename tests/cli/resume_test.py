"""Runs that stop, in order or not, and are resumed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_t2i.callbacks.checkpoints import checkpoint_steps
from keras_t2i.cli.main import main
from keras_t2i.linear_decay import linear_decays
from tests.cli.conftest import GAN_OPTIONS
from tests.cli.conftest import TEXT_OPTIONS
from tests.cli.conftest import contents
from tests.cli.conftest import run_command
from tests.cli.run_states import assert_same_state
from tests.cli.run_states import killed_after
from tests.cli.run_states import lines_of


def _main(*argv):
    return main([str(argument) for argument in argv])


def _copy(run, folder):
    return shutil.copytree(run, folder / "copy")


@pytest.fixture(scope="module")
def short_run(data, text_run, tmp_path_factory):
    """As `gan_run`, but of three steps, which are not even one line."""
    folder = tmp_path_factory.mktemp("short") / "run"
    argv = ["train", "--data", data, "--text-encoder", text_run]
    run_command(*argv, "--out", folder, *GAN_OPTIONS, "--steps", 3)
    return folder


@pytest.fixture(scope="module")
def half_run(short_run, tmp_path_factory):
    """It has gone on to between two lines."""
    folder = _copy(short_run, tmp_path_factory.mktemp("half"))
    run_command("train", "--out", folder, "--resume", "--steps", 25)
    return folder


# === The same as without the interruption ===


def test_train_goes_on(short_run, half_run, gan_run, tmp_path, capsys):
    # Each step is part of a line, those after the last ten too.
    assert lines_of(short_run)[-1]["step"] == 3
    assert lines_of(half_run)[-1]["step"] == 25
    run = _copy(half_run, tmp_path)
    run_command("train", "--out", run, "--resume", "--steps", 40)
    captured = capsys.readouterr()
    assert captured.out == f"model: {run}/model.keras\n"
    line = captured.err.splitlines()[-1]
    assert line.startswith("Training: 40 of 40 steps")
    for loss in ("discriminator loss ", "generator loss "):
        assert re.search(rf", {loss}\d", line)
    assert_same_state(run / "model.keras", gan_run / "model.keras")
    assert lines_of(run) == lines_of(gan_run)
    assert (run / "config.json").read_text() == (
        gan_run / "config.json"
    ).read_text()
    assert set(contents(run)) - set(contents(gan_run)) == {
        "checkpoints/step-00000025.keras",
        "samples/step-00000003.png",
        "samples/step-00000025.png",
    }
    for file in ("samples/real.png", "samples/step-00000040.png"):
        assert (run / file).read_bytes() == (gan_run / file).read_bytes()


def test_a_run_of_before_there_were_recipes_goes_on(
    short_run, data, text_run, tmp_path, error_of
):
    run = _copy(short_run, tmp_path)
    options = {
        "data": str(data),
        "text_encoder": str(text_run),
        "preset": "gan_int_cls",
        "width": 4,
        "batch_size": 8,
        "epochs": None,
        "steps": 3,
        "minutes": None,
        "end_to_end": False,
        "strategy": "none",
        "precision": "float32",
        "seed": 0,
    }
    config = {"command": "train", "options": options, "versions": {}}
    (run / "config.json").write_text(json.dumps(config))
    line = error_of("train", "--out", run, "--resume", "--width", 8)
    assert "Received: --width 8, started with 4" in line
    argv = ["train", "--out", run, "--resume", "--width", 4, "--data", data]
    # From the recipe on it is any run.
    assert _main(*argv, "--steps", 3) == 0
    for file in ("config.json", "metrics.jsonl"):
        assert (run / file).read_text() == (short_run / file).read_text()


# That such a GAN goes on bit for bit is shown in
# tests/models/plus_recipe_test.py, that the rate falls over interruptions in
# tests/training/runner_test.py, and how texts are standardized in
# tests/training/entry_test.py.
@pytest.mark.large
def test_train_of_the_plus_recipe_goes_on(
    data, text_run, tmp_path, checkpoints_every
):
    # A checkpoint in the middle of so short a run.
    checkpoints_every(2)
    run = tmp_path / "run"
    argv = ["train", "--data", data, "--text-encoder", text_run, "--out", run]
    argv += ["--preset", "gan_int_cls_plus", "--width", 4, "--batch-size", 4]
    assert _main(*argv, "--steps", 4) == 0
    assert checkpoint_steps(run / "checkpoints") == [2, 4]
    killed = killed_after(2, run, tmp_path / "killed")
    assert _main("train", "--out", killed, "--resume") == 0
    assert_same_state(killed / "model.keras", run / "model.keras")
    assert lines_of(killed) == lines_of(run)
    gan = keras.saving.load_model(run / "model.keras")
    # The last quarter of four steps.
    (decay, _) = linear_decays(gan)
    assert (decay.first_step, decay.last_step) == (3, 4)
    # Texts are standardized by those of the training set.
    mean = gan.generator.get_layer("text_standardization").mean
    assert np.abs(mean).max() > 0
    assert gan.recipe.preset == "gan_int_cls_plus"


def test_train_text_goes_on(data, text_run, tmp_path):
    run = tmp_path / "run"
    argv = ["train-text", "--data", data, "--out", run, *TEXT_OPTIONS]
    assert _main(*argv, "--steps", 5) == 0
    assert _main("train-text", "--out", run, "--resume", "--steps", 10) == 0
    assert_same_state(run / "model.keras", text_run / "model.keras")


@pytest.mark.large
def test_end_to_end_goes_on(end_to_end_run, tmp_path):
    run = killed_after(2, end_to_end_run, tmp_path / "run")
    assert _main("train", "--out", run, "--resume") == 0
    assert_same_state(run / "model.keras", end_to_end_run / "model.keras")


_KILLED_WHILE_SAVING = """
import functools
import os
import signal
import sys

from keras_t2i.callbacks import Checkpoints
from keras_t2i.training import runner
from keras_t2i.cli.main import main


class Killed(Checkpoints):
    def _save(self):
        if self.step == 30:
            self.model.save(self.folder / ".tmp-step-00000030.keras")
            os.kill(os.getpid(), signal.SIGKILL)
        super()._save()


# A minute apart otherwise.
runner.Checkpoints = functools.partial(Killed, every_seconds=0)
sys.exit(main(sys.argv[1:]))
"""


def test_killed_train_goes_on(data, text_run, gan_run, tmp_path):
    run = tmp_path / "run"
    argv = ["train", "--data", data, "--text-encoder", text_run, "--out", run]
    argv += [*GAN_OPTIONS, "--steps", 40]
    process = subprocess.run(
        [sys.executable, "-c", _KILLED_WHILE_SAVING, *map(str, argv)]
    )
    assert process.returncode == -signal.SIGKILL
    assert checkpoint_steps(run / "checkpoints") == [10, 20]
    # The line of step 30 is there, and half of the next one might be.
    assert [line["step"] for line in lines_of(run)] == [10, 20, 30]
    with open(run / "metrics.jsonl", "a") as metrics:
        metrics.write('{"step": 40, "epoch": 6, "sec')
    assert _main("train", "--out", run, "--resume") == 0
    assert_same_state(run / "model.keras", gan_run / "model.keras")
    assert lines_of(run) == lines_of(gan_run)


# As after a full disk: test_a_full_disk in failures_test.py.
@pytest.mark.large
def test_without_a_checkpoint_it_starts_over(half_run, tmp_path):
    run = _copy(half_run, tmp_path)
    shutil.rmtree(run / "checkpoints")
    (run / "model.keras").unlink()
    assert _main("train", "--out", run, "--resume") == 0
    assert_same_state(run / "model.keras", half_run / "model.keras")
    assert lines_of(run) == lines_of(half_run)


@pytest.mark.parametrize("duration", [[], ["--steps", 30], ["--epochs", 3]])
def test_nothing_left_to_train(gan_run, tmp_path, capsys, duration):
    run = _copy(gan_run, tmp_path)
    (run / "model.keras").unlink()
    assert _main("train", "--out", run, "--resume", *duration) == 0
    assert "nothing left to train: 40 steps" in capsys.readouterr().err
    for file in ("model.keras", "metrics.jsonl"):
        assert (run / file).read_bytes() == (gan_run / file).read_bytes()


def test_minutes_count_the_time_before(half_run, tmp_path, capsys):
    run = _copy(half_run, tmp_path)
    lines = (run / "metrics.jsonl").read_text()
    lines = re.sub(r'"seconds": [\d.]+', '"seconds": 90.0', lines)
    (run / "metrics.jsonl").write_text(lines)
    assert _main("train", "--out", run, "--resume", "--minutes", 1.5) == 0
    error = capsys.readouterr().err
    assert "nothing left to train: 25 steps, 1.5 minutes done" in error


# === Ctrl-C ===


def _start(argv, run):
    """Starts a training and waits for its first line of metrics."""
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_t2i.cli.main", *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (run / "metrics.jsonl").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return process


def _without_progress(error):
    """The lines that do not depend on how fast the machine is."""
    progress = ("Embedding captions: ", "Training: ")
    return [
        line for line in error.splitlines() if not line.startswith(progress)
    ]


def test_interrupted_train_ends_in_order(data, text_run, tmp_path):
    run = tmp_path / "run"
    argv = ["train", "--data", data, "--text-encoder", text_run, "--out", run]
    process = _start([*argv, *GAN_OPTIONS, "--minutes", 10], run)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    # So that `train && generate` does not go on.
    assert process.returncode == 130
    assert out == ""
    line, last = _without_progress(error)
    assert line.startswith("finishing the current steps and saving; Ctrl-C")
    assert last == "keras-t2i: interrupted"
    # All that was recorded is in the checkpoint, which is the model.
    (step,) = checkpoint_steps(run / "checkpoints")
    assert [line["step"] for line in lines_of(run)] == list(
        range(10, step + 1, 10)
    )
    assert_same_state(
        run / "model.keras", run / "checkpoints" / f"step-{step:08d}.keras"
    )
    assert (run / f"samples/step-{step:08d}.png").exists()


def test_interrupted_twice_ends_at_once(data, text_run, tmp_path):
    run = tmp_path / "run"
    argv = ["train", "--data", data, "--text-encoder", text_run, "--out", run]
    # Ten steps of this width take a while.
    argv += ["--width", 16, "--batch-size", 48, "--minutes", 10]
    process = _start(argv, run)
    process.send_signal(signal.SIGINT)
    while not process.stderr.readline().startswith("finishing the current"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == ""
    assert _without_progress(error) == ["keras-t2i: interrupted"]
    # It can start over.
    assert os.listdir(run / "checkpoints") == []
    assert not (run / "model.keras").exists()


# === Refused ===


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--width", 8], "--width 8, started with 4"),
        (["--batch-size", 4], "--batch-size 4, started with 8"),
        (["--preset", "gan"], "--preset gan, started with gan_int_cls"),
        (["--seed", 3], "--seed 3, started with 0"),
        (["--precision", "mixed_bfloat16"], "--precision mixed_bfloat16"),
        (["--end-to-end"], "--end-to-end"),
    ],
)
def test_another_option(gan_run, error_of, options, message):
    before = contents(gan_run)
    line = error_of("train", "--out", gan_run, "--resume", *options)
    assert "only --epochs, --steps and --minutes may differ" in line
    assert message in line
    assert contents(gan_run) == before


def test_a_run_of_another_command(text_run, gan_run, error_of):
    line = error_of("train", "--out", text_run, "--resume")
    assert "a run of `train-text`" in line
    line = error_of("train-text", "--out", gan_run, "--resume")
    assert "a run of `train`" in line


@pytest.mark.parametrize("command", ["train", "train-text"])
def test_no_run(tmp_path, error_of, command):
    line = error_of(command, "--out", tmp_path / "run", "--resume")
    assert "--resume needs a run in --out" in line
    assert not (tmp_path / "run").exists()


def test_data_that_is_gone(half_run, tmp_path, error_of):
    run = _copy(half_run, tmp_path)
    config = json.loads((run / "config.json").read_text())
    config["inputs"]["data"]["path"] = str(tmp_path / "gone")
    (run / "config.json").write_text(json.dumps(config))
    before = contents(run)
    line = error_of("train", "--out", run, "--resume", "--steps", 40)
    assert "/gone', which is not there. Give its new path as --data" in line
    assert contents(run) == before


@pytest.fixture(scope="module")
def other_data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other") / "data"
    argv = ["prepare", "blooms", "--num-images", 30, "--image-size", 32]
    run_command(*argv, "--seed", 5, "--out", folder)
    return folder


def test_other_inputs_of_the_same_name(
    data, other_data, text_run, gan_run, style_run, tmp_path, error_of
):
    moved = tmp_path / "data"
    for command, run in (
        ("train-text", text_run),
        ("train", gan_run),
        ("train-style", style_run),
    ):
        run = shutil.copytree(run, tmp_path / command)
        config = (run / "config.json").read_text()
        (run / "config.json").write_text(
            config.replace(json.dumps(str(data)), json.dumps(str(moved)))
        )
        shutil.copytree(other_data, moved, dirs_exist_ok=True)
        before = contents(run)
        argv = [command, "--out", run, "--resume", "--steps", 99]
        for given in [], ["--data", moved], ["--data", other_data]:
            line = error_of(*argv, *given)
            assert "--data must be as it was when the run was started" in line
            assert contents(run) == before


def test_a_text_encoder_that_has_moved(
    data, text_run, gan_run, tmp_path, error_of, monkeypatch
):
    run = _copy(gan_run, tmp_path)
    moved = shutil.copytree(text_run, tmp_path / "moved")
    other = shutil.copytree(text_run, tmp_path / "other")
    (other / "model.keras").unlink()
    model = keras.saving.load_model(text_run / "model.keras")
    model.text_encoder.set_weights(
        [2 * weight for weight in model.text_encoder.get_weights()]
    )
    model.save(other / "model.keras")
    argv = ["train", "--out", run, "--resume", "--text-encoder"]
    line = error_of(*argv, other)
    assert "--text-encoder must be as it was" in line and str(other) in line
    # From another folder too, by a relative path.
    monkeypatch.chdir(tmp_path)
    assert _main(*argv, "moved", "--data", os.path.relpath(data)) == 0
    inputs = json.loads((run / "config.json").read_text())["inputs"]
    assert inputs["text_encoder"]["path"] == str(moved)
    assert inputs["data"]["path"] == str(data)
    shutil.rmtree(moved)
    line = error_of(*argv[:-1])
    assert "/moved', which is not there. Give its new path as --text" in line


def test_a_gan_that_has_moved(style_run, gan_run, tmp_path, error_of):
    run = _copy(style_run, tmp_path)
    moved = shutil.copytree(gan_run, tmp_path / "moved")
    argv = ["train-style", "--out", run, "--resume"]
    other = moved / "checkpoints"
    content = bytearray((moved / "model.keras").read_bytes())
    # The comment at the end of a ZIP file.
    content[-2:] = b"\x01\x00"
    (other / "other.keras").write_bytes(content + b"!")
    line = error_of(*argv, "--model", other / "other.keras")
    assert "--model must be as it was" in line
    assert _main(*argv, "--model", moved) == 0


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_checkpoint(half_run, tmp_path, error_of, damage):
    run = _copy(half_run, tmp_path)
    (run / "checkpoints/step-00000003.keras").unlink()
    checkpoint = run / "checkpoints/step-00000025.keras"
    content = bytearray(checkpoint.read_bytes())
    if damage == "cut":
        content = content[:1000]
    else:
        # Among the weights, which are the largest file in it.
        content[len(content) // 2] ^= 0xFF
    checkpoint.write_bytes(content)
    argv = ["train", "--out", run, "--resume", "--steps", 40]
    line = error_of(*argv)
    assert "step-00000025.keras', which cannot be loaded: " in line
    assert line.endswith("Remove that file to start over.")
    older = run / "checkpoints/step-00000010.keras"
    shutil.copy(half_run / "checkpoints/step-00000025.keras", older)
    assert error_of(*argv).endswith("file to resume from step 10.")
