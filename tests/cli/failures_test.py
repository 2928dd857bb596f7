"""Trainings that go wrong: one line, and nothing lost."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from keras_t2i.callbacks.checkpoints import checkpoint_steps
from keras_t2i.cli.main import main
from keras_t2i.errors import TrainingError
from keras_t2i.training.model_files import load_text_encoder
from keras_t2i.training.run_folder import RunFolder
from keras_t2i.training.runner import failures_while_running
from tests.cli.conftest import GAN_OPTIONS
from tests.cli.conftest import contents
from tests.cli.run_states import assert_same_state
from tests.full_disk import small_files
from tests.tiny_models import random_images


def _command(data, text_run, run, *options):
    argv = ["train", "--data", data, "--text-encoder", text_run, "--out", run]
    return [str(part) for part in [*argv, *GAN_OPTIONS, *options]]


def _start(argv):
    return subprocess.Popen(
        [sys.executable, "-m", "keras_t2i.cli.main", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.usefixtures("eagerly")
def test_nan_ends_the_training_at_once(data, text_run, tmp_path, capsys):
    encoder = load_text_encoder(text_run)
    kernel = encoder.get_layer("embedding").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    encoder.save(tmp_path / "spoiled.keras")
    run = tmp_path / "run"
    argv = _command(data, tmp_path / "spoiled.keras", run, "--steps", 40)
    assert main(argv) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "must be finite. Received: nan after step 1, where" in line
    assert "There is no checkpoint yet" in line
    # What has diverged is neither recorded nor saved.
    assert not (run / "metrics.jsonl").exists()
    assert checkpoint_steps(run / "checkpoints") == []


def test_a_folder_in_which_another_one_trains(gan_run, tmp_path, error_of):
    run = shutil.copytree(gan_run, tmp_path / "run")
    before = contents(run)
    other = RunFolder(run)
    other.lock()
    line = error_of("train", "--out", run, "--resume")
    assert "no other process trains" in line and str(run) in line
    assert contents(run) == before


# As above, but with two processes.
@pytest.mark.large
def test_a_second_training_in_the_folder_is_refused(
    data, text_run, tmp_path, error_of
):
    run = tmp_path / "run"
    process = _start(_command(data, text_run, run, "--minutes", 10))
    try:
        deadline = time.monotonic() + 120
        while not (run / "metrics.jsonl").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        line = error_of("train", "--out", run, "--resume")
        assert "no other process trains" in line and str(run) in line
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    # The first one has not noticed.
    assert process.returncode == 130
    assert len(checkpoint_steps(run / "checkpoints")) == 1


@pytest.mark.usefixtures("eagerly")
def test_a_full_disk(data, text_run, tmp_path, capsys):
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    argv = _command(data, text_run, run, "--steps", 2)
    # More than the grids and the config have, and less than a checkpoint.
    with small_files(200_000):
        assert main(argv) == 1
    out, error = capsys.readouterr()
    assert out == ""
    line = error.splitlines()[-1]
    assert line.startswith("keras-t2i: The training was stopped: ")
    assert "File too large" in line and "by --resume" in line
    assert "Traceback" not in error
    assert list((run / "checkpoints").iterdir()) == []
    # Once there is space, it resumes and ends as it would have.
    assert main(["train", "--out", str(run), "--resume"]) == 0
    assert main(_command(data, text_run, undisturbed, "--steps", 2)) == 0
    assert_same_state(run / "model.keras", undisturbed / "model.keras")


def test_a_disk_that_is_full_in_the_end(gan_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(gan_run, run)
    (run / "model.keras").unlink()
    argv = ["train", "--out", str(run), "--resume"]
    with small_files(200_000):
        assert main(argv) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "File too large" in line and "by --resume" in line
    # Only the model is missing, and made when there is room.
    assert main(argv) == 0
    assert (run / "model.keras").exists()


def test_a_disk_that_is_full_of_embeddings(data, text_run, tmp_path, error_of):
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    shutil.copy(text_run / "model.keras", encoder)
    (shard,) = sorted(path.name for path in data.glob("train-*"))
    argv = ["embed", "--data", data, "--text-encoder", encoder]
    with small_files(100_000):
        line = error_of(*argv, "--out", encoder, status=1)
    assert "File too large" in line and shard in line


# That one waits for the other: tests/training/precomputed_test.py.
@pytest.mark.large
def test_trainings_that_start_together(data, text_run, tmp_path):
    """Both need the embeddings of one encoder, which are made once."""
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    shutil.copy(text_run / "model.keras", encoder)
    processes = [
        _start(_command(data, encoder, tmp_path / name, "--steps", 1))
        for name in ("a", "b")
    ]
    for process in processes:
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
    assert len(list(encoder.iterdir())) == 2
    assert_same_state(
        tmp_path / "a" / "model.keras", tmp_path / "b" / "model.keras"
    )


def test_metrics_of_something_else(gan_run, tmp_path, error_of):
    run = shutil.copytree(gan_run, tmp_path / "run")
    (run / "metrics.jsonl").write_text("[]\n")
    before = contents(run)
    line = error_of("train", "--out", run, "--resume", status=1)
    assert f"line of {run}/metrics.jsonl must be a JSON object" in line
    assert "Received: '[]'. Remove" in line
    assert contents(run) == before


def test_a_checkpoint_of_something_else(gan_run, text_run, tmp_path, error_of):
    run = shutil.copytree(gan_run, tmp_path / "run")
    checkpoint = run / "checkpoints" / "step-00000099.keras"
    shutil.copy(text_run / "model.keras", checkpoint)
    argv = ["train", "--out", run, "--resume"]
    line = error_of(*argv, status=1)
    assert "of a `TextToImageGAN`. Received: " in line
    assert f"{checkpoint}', of a `JointEmbedding`. Remove" in line
    # A GAN, but with other networks.
    gan = keras.saving.load_model(gan_run / "model.keras")
    config = gan.get_config()
    config["recipe"]["discriminator_width"] = 8
    other = type(gan).from_config(config)
    other.compile()
    other.save(checkpoint)
    line = error_of(*argv, status=1)
    assert "of this run, with `discriminator_width` 4. Received: " in line
    assert "of step 99 with 8. Remove" in line


def test_a_clock_of_before_there_were_zip_files(
    gan_run, tmp_path, error_of, monkeypatch
):
    run = shutil.copytree(gan_run, tmp_path / "run")
    before = contents(run)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(0))
    line = error_of("train", "--out", run, "--resume", status=1)
    assert "before 1980. Received: the year 1970. Set the clock" in line
    assert contents(run) == before


@pytest.mark.parametrize("name", ["checkpoints", "metrics.jsonl"])
def test_what_can_not_be_written(gan_run, tmp_path, error_of, name):
    # The owner of this process may write to read-only folders as well, if it
    # is root; to a folder in place of a file, or the reverse, nobody can.
    run = shutil.copytree(gan_run, tmp_path / "run")
    before = contents(run / "checkpoints")
    if name == "checkpoints":
        (run / name).rename(run / "kept")
        (run / name).write_text("")
    else:
        (run / name).unlink()
        (run / name).mkdir()
    line = error_of(
        *("train", "--out", run, "--resume", "--steps", 50), status=1
    )
    assert name in line and "by --resume" in line
    kept = run / ("kept" if name == "checkpoints" else "checkpoints")
    assert contents(kept) == before
    assert json.loads((run / "config.json").read_text())["command"] == "train"


def _prepared(folder, captions, capsys):
    """Images with these captions, as a prepared data set."""
    source, prepared = folder / "source", folder / "prepared"
    source.mkdir()
    images = random_images(len(captions))
    with open(source / "captions.jsonl", "w") as file:
        for index, (image, texts) in enumerate(zip(images, captions)):
            name = f"{index}.png"
            PIL.Image.fromarray(np.uint8(127 * image + 127)).save(source / name)
            file.write(json.dumps({"file": name, "captions": texts}) + "\n")
    prepare = ["prepare", "folder", "--source", source, "--image-size", 32]
    argv = [str(part) for part in [*prepare, "--out", prepared]]
    assert main(argv) == 0
    capsys.readouterr()
    return prepared


def test_data_that_can_not_be_used_end_the_process(text_run, tmp_path, capsys):
    names = [f"flower {number}" for number in range(8)]
    # The first four have the captions of all. Not all of them are for tests.
    captions = [*(4 * [names]), *([name] for name in names)]
    prepared = _prepared(tmp_path, captions, capsys)
    options = ["--steps", 8, "--batch-size", 4]
    argv = _command(prepared, text_run, tmp_path / "run", *options)
    assert main(argv) == 1
    out, error = capsys.readouterr()
    assert out == "" and "Traceback" not in error
    line = error.splitlines()[-1]
    assert line.startswith("keras-t2i: The training was stopped: Mismatching")
    assert "with which all others share a caption" in line


def test_one_caption_for_all_images_is_found_at_once(
    text_run, tmp_path, capsys, error_of
):
    prepared = _prepared(tmp_path, 8 * [["a red flower"]], capsys)
    for more in ([], ["--dry-run"]):
        options = ["--batch-size", 4, *more]
        argv = _command(prepared, text_run, tmp_path / "run", *options)
        line = error_of(*argv)
        assert "images that all share one. Give" in line
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            "Graph execution error:\n\nDetected at node EnsureShape defined at "
            "(most recent call last):\n<stack traces unavailable>\n"
            "Shape [10,10,3] is not compatible.\n\t [[{{node EnsureShape}}]]",
            "Shape [10,10,3] is not compatible",
        ),
        ("OOM when allocating\n\t [[{{node Conv}}]]", "OOM when allocating"),
        (
            "Error in a function: \nTraceback:\nValueError: x must be y. "
            "Received: z.\n\t [[{{node PyFunc}}]]",
            "x must be y. Received: z",
        ),
        ("", "InternalError"),
    ],
)
def test_an_error_of_tensorflow_is_told_in_one_line(tmp_path, message, reason):
    error = tf.errors.InternalError(None, None, message)
    with pytest.raises(
        TrainingError,
        match=f"^The training was stopped: {re.escape(reason)}. When that is",
    ):
        with failures_while_running(RunFolder(tmp_path)):
            raise error
