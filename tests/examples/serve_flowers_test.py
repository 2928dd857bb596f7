"""The example, with a stand-in for TensorFlow Serving's program."""

import os
import pathlib
import runpy
import signal
import subprocess
import sys

import keras
import pytest
from PIL import Image

from tests.programs import runs
from tests.tiny_models import tiny_gan

_EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "serve_flowers"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the first of the three scripts has been run."""
    folder = tmp_path_factory.mktemp("example")
    keras.utils.set_random_seed(0)
    (folder / "run").mkdir()
    tiny_gan().save(folder / "run" / "model.keras")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["export_model.py", "run"])
        runpy.run_path(str(_EXAMPLE / "export_model.py"))
    return folder


def test_export_and_ask(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    captions = ["a red flower", "a blue one"]
    argv = ["ask.py", "saved_models/flowers", *captions]
    monkeypatch.setattr(sys, "argv", argv)
    runpy.run_path(str(_EXAMPLE / "ask.py"))
    assert capsys.readouterr().out == (
        "flower0.png: a red flower\nflower1.png: a blue one\n"
    )
    for number in range(2):
        with Image.open(folder / f"flower{number}.png") as image:
            assert image.size == (32, 32)


def test_serve_with_a_stand_in_program(
    folder, stand_in, stand_in_note, free_port
):
    with subprocess.Popen(
        [sys.executable, _EXAMPLE / "serve.py", str(free_port)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_EXAMPLE.parents[1])},
    ) as process:
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
    address = f"http://127.0.0.1:{free_port}/v1/models/flowers"
    assert line == f"serving: {address}\n"
    assert not runs(stand_in_note()["pid"])
