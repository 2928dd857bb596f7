"""`keras-t2i serve` around a stand-in for TensorFlow Serving's program."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_t2i.cli.main import main
from tests.export import stand_in_program
from tests.programs import runs
from tests.programs import script


def _serve(models, port, *options):
    return ["serve", "--models", str(models), "--port", str(port), *options]


def test_print_shows_and_runs_nothing(model_folders, stand_in, capsys):
    assert main(_serve(model_folders, 9001, "--print")) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0] == f"# {model_folders}/models.config"
    assert f'    base_path: "{model_folders}/flowers"' in lines
    assert f"# {model_folders}/batching_parameters.txt" in lines
    assert lines[-1].startswith(f"{stand_in} --port=9000 --rest_api_port=9001 ")
    assert not (model_folders / "models.config").exists()
    assert not (model_folders / "batching_parameters.txt").exists()


def test_files_are_printed_as_they_can_be_saved(
    model_folders, stand_in, capsys
):
    path = model_folders / "batching_parameters.txt"
    path.write_text("max_batch_size {\n\tvalue: 64\n}\n")
    assert main(_serve(model_folders, 9001, "--print")) == 0
    assert "    value: 64" in capsys.readouterr().out.splitlines()


def test_models_are_where_export_writes_them(
    model_folders, stand_in, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved_models").symlink_to(model_folders)
    assert main(["serve", "--print"]) == 0
    assert f"# {tmp_path}/saved_models/models.config" in capsys.readouterr().out


def test_print_without_any_server(model_folders, empty_path, capsys):
    assert main(_serve(model_folders, 9001, "--print")) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("docker run ")


def test_without_any_server(model_folders, empty_path, capsys):
    assert main(_serve(model_folders, 9001)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "no tensorflow_model_server on the PATH" in line
    assert "Install Docker" in line


@pytest.mark.parametrize("port", ["1", "x", "70000"])
def test_ports_that_can_not_be(model_folders, port, capsys):
    try:
        assert main(_serve(model_folders, port)) == 2
    except SystemExit as error:
        assert error.code == 2
    assert f"{port}" in capsys.readouterr().err


def test_no_models(tmp_path, error_of):
    line = error_of(*_serve(tmp_path / "none", 9001))
    assert "must hold folders that `keras-t2i export` has written" in line


@pytest.mark.parametrize(
    ("prefix", "sent", "status"),
    [
        ([], [signal.SIGINT], 130),
        ([], [signal.SIGTERM], 143),
        ([], [signal.SIGHUP], 129),
        # The end is not interrupted by what follows.
        ([], [signal.SIGHUP, signal.SIGHUP, signal.SIGTERM], 129),
        # Python sees the lower number first where both have come. What comes
        # when it has put back its handlers ends it as it ends any program.
        ([], [signal.SIGTERM, signal.SIGINT], (130, 143, -signal.SIGINT)),
        # What is to survive its terminal does.
        (["nohup"], [signal.SIGHUP, signal.SIGTERM], 143),
    ],
)
def test_with_a_stand_in_program_a_signal_ends_both(
    model_folders,
    stand_in,
    stand_in_note,
    free_port,
    prefix,
    sent,
    status,
):
    process = subprocess.Popen(
        [
            *[*prefix, sys.executable, "-m", "keras_t2i.cli.main"],
            *_serve(model_folders, free_port),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    lines = [process.stdout.readline() for _ in range(2)]
    address = f"http://127.0.0.1:{free_port}/v1/models"
    assert lines == [
        f"serving: {address}/birds\n",
        f"serving: {address}/flowers\n",
    ]
    for number in sent:
        process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert process.returncode in np.atleast_1d(status)
    assert out == ""
    assert "Traceback" not in error
    assert "warning: tensorflow_model_server listens on all" in error
    assert not runs(stand_in_note()["pid"])


def test_ctrl_c_twice_leaves_no_container(
    model_folders, empty_path, stand_in_note, free_port, tmp_path, monkeypatch
):
    """The second one comes while Docker is asked to end the first container."""
    monkeypatch.setenv("STAND_IN_NOTE", str(tmp_path / "note.json"))
    program = f"{sys.executable} {stand_in_program.__file__}"
    sleep = shutil.which("sleep", path=os.defpath)
    config = f"--model_config_file={model_folders}/models.config"
    script(
        empty_path / "docker",
        'case "$1" in\n'
        f"kill) echo > {tmp_path}/asked; {sleep} 1;"
        f" read pid < {tmp_path}/pid; kill -9 $pid;"
        f" echo > {tmp_path}/killed;;\n"
        f"run) echo $$ > {tmp_path}/pid;"
        f" exec {program} --rest_api_port={free_port} {config};;\n"
        "esac",
    )
    process = subprocess.Popen(
        [
            *[sys.executable, "-m", "keras_t2i.cli.main"],
            *_serve(model_folders, free_port),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # As at a terminal, Ctrl-C reaches all of them.
        start_new_session=True,
    )
    try:
        for _ in range(2):
            assert process.stdout.readline().startswith("serving: ")
        os.killpg(process.pid, signal.SIGINT)
        deadline = time.monotonic() + 30
        while not (tmp_path / "asked").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 130
    assert (tmp_path / "killed").exists()
    assert not runs(stand_in_note()["pid"])
