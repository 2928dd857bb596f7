"""One prepared data set and tiny runs, made by the commands themselves."""

import functools
import os

import keras
import pytest

from keras_t2i.callbacks.checkpoints import Checkpoints
from keras_t2i.cli.main import main
from keras_t2i.training import runner

TEXT_OPTIONS = ["--preset", "char_cnn_rnn_small", "--batch-size", "8"]
GAN_OPTIONS = ["--width", "4", "--batch-size", "8"]


def _save_every(steps, patch):
    checkpoints = functools.partial(
        Checkpoints, every_steps=steps, every_seconds=0
    )
    patch.setattr(runner, "Checkpoints", checkpoints)


def run_command(*argv, checkpoints_every=10**6):
    """Runs a command that must succeed.

    Checkpoints are a minute apart otherwise, which the shortest training can
    take on a busy machine.
    """
    with pytest.MonkeyPatch.context() as patch:
        _save_every(checkpoints_every, patch)
        assert main([str(argument) for argument in argv]) == 0


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Sixty blooms of 32 pixels: 48 train, 6 val, 6 test."""
    folder = tmp_path_factory.mktemp("blooms") / "data"
    run_command(
        *["prepare", "blooms", "--out", folder],
        *["--num-images", 60, "--image-size", 32],
    )
    return folder


@pytest.fixture(scope="session")
def text_run(data, tmp_path_factory):
    """Ten steps of `train-text`. Tests that write to it take a copy."""
    folder = tmp_path_factory.mktemp("text") / "run"
    run_command(
        *["train-text", "--data", data, "--out", folder],
        *[*TEXT_OPTIONS, "--steps", 10],
    )
    return folder


@pytest.fixture(scope="session")
def gan_run(data, text_run, tmp_path_factory):
    """Forty steps of `train`. Tests that write to it take a copy."""
    folder = tmp_path_factory.mktemp("gan") / "run"
    run_command(
        *["train", "--data", data, "--text-encoder", text_run],
        *["--out", folder, *GAN_OPTIONS, "--steps", 40],
    )
    return folder


@pytest.fixture(scope="session")
def style_run(data, gan_run, tmp_path_factory):
    """Twenty steps of `train-style`. Tests that write to it take a copy."""
    folder = tmp_path_factory.mktemp("style") / "run"
    run_command(
        *["train-style", "--model", gan_run, "--data", data],
        *["--out", folder, "--steps", 20],
    )
    return folder


@pytest.fixture(scope="session")
def end_to_end_run(data, text_run, tmp_path_factory):
    """Four steps of `train --end-to-end`, with checkpoints of 2 and 4."""
    folder = tmp_path_factory.mktemp("end_to_end") / "run"
    run_command(
        *["train", "--data", data, "--text-encoder", text_run],
        *["--end-to-end", "--out", folder, *GAN_OPTIONS, "--steps", 4],
        checkpoints_every=2,
    )
    return folder


@pytest.fixture(scope="session")
def models_by_file():
    return {}


@pytest.fixture
def loaded_once(models_by_file, monkeypatch):
    """Commands that only use models share them, and their graphs.

    Not for trainings, which change what they load.
    """
    load_model = keras.saving.load_model

    def load_once(file, **options):
        key = (str(file), os.stat(file).st_mtime_ns, *sorted(options.items()))
        if key not in models_by_file:
            models_by_file[key] = load_model(file, **options)
        model = models_by_file[key]
        # `--truncation` has changed it.
        if hasattr(model, "truncation"):
            model.truncation = 1.0
        return model

    monkeypatch.setattr(keras.saving, "load_model", load_once)


@pytest.fixture
def checkpoints_every(monkeypatch):
    """Makes trainings save every few steps, where it is a minute otherwise."""
    return lambda steps: _save_every(steps, monkeypatch)


@pytest.fixture
def error_of(capsys):
    """Runs a command that must fail, on bad input; returns its one line."""

    def run(*argv, status=2):
        capsys.readouterr()
        assert main([str(argument) for argument in argv]) == status
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert line.startswith("keras-t2i: ")
        return line

    return run


def contents(folder):
    """The bytes of all files in a folder, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
