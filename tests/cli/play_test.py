import importlib.util
import socket

import pytest

from keras_t2i.cli.main import main
from keras_t2i.cli.play import _name_shown
from tests.programs import a_free_port


def _line(capsys, *options):
    assert main(["play", *map(str, options)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_gradio_is_not_installed(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert 'pip install "keras-t2i[play]"' in _line(capsys)


@pytest.fixture
def installed():
    pytest.importorskip("gradio")


def test_a_port_in_use(installed, capsys):
    port = a_free_port()
    with socket.create_server(("127.0.0.1", port)):
        line = _line(capsys, "--port", port)
    assert f"Received: 127.0.0.1 and {port}" in line
    assert "Address already in use" in line
    assert "at most 65535" in _line(capsys, "--port", 70000)


@pytest.mark.parametrize("option", ["--model", "--server"])
def test_a_served_model_that_is_down(installed, capsys, option):
    address = f"http://127.0.0.1:{a_free_port()}/v1/models/flowers"
    status = main(["play", option, address, "--port", str(a_free_port())])
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert (status, captured.out) == (1, "")
    assert address in line and "Connection refused" in line


def test_models_that_do_not_fit(installed, capsys, gan_run):
    port = "--port", a_free_port()
    assert "--model must name" in _line(capsys, *port, "--model", "nowhere")
    line = _line(capsys, *port, "--model", gan_run, "--style-encoder", gan_run)
    assert "--style-encoder must name a run of train-style" in line


def test_the_name_is_that_of_the_model(tmp_path):
    version = tmp_path / "roses/3"
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"")
    (tmp_path / "runs/4").mkdir(parents=True)
    address = "http://localhost:8501/v1/models/roses"
    for model in (
        *(address, f"{address}/versions/3", f"{address}/labels/stable"),
        *(tmp_path / "roses", version, tmp_path / "roses/model.keras"),
        "runs/roses.keras",
    ):
        assert _name_shown(str(model)) == "roses"
    # A run may have a number for its name.
    assert _name_shown(str(tmp_path / "runs/4")) == "4"
