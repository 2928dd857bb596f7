"""Runs TensorFlow Serving over a folder of exported models."""

import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.request
import warnings

from keras_t2i.export.model_folder import versions
from keras_t2i.export.server_error import ServerError
from keras_t2i.export.server_programs import BINARY_VARIABLE
from keras_t2i.export.server_programs import IMAGE
from keras_t2i.export.server_programs import DockerProgram
from keras_t2i.export.server_programs import find_program
from keras_t2i.export.serving_files import BATCHING_PARAMETERS_FILE
from keras_t2i.export.serving_files import MODELS_CONFIG_FILE
from keras_t2i.export.serving_files import batching_parameters
from keras_t2i.export.serving_files import models_config
from keras_t2i.files import replace_when_whole

_HOST = "127.0.0.1"
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_STOP = 10
# To this machine itself, whatever proxy is set.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ModelServer:
    """TensorFlow Serving, as a process of its own.

    As a context manager it starts the server, waits until all models are
    available, and stops it at the end. The server is what
    `$TF_SERVING_BINARY` names, else `tensorflow_model_server` on the PATH, else
    the image `tensorflow/serving` in Docker. With Docker it can be reached from
    this machine only; `tensorflow_model_server` itself listens on all of the
    machine's addresses and has no option against it, which is warned of.

    Two files are written into the folder of models: `models.config` and
    `batching_parameters.txt`.

    Args:
        models: path of a folder of models, each as `export_saved_model` writes
            it.
        port: int. Of the REST API; gRPC has the one below. Defaults to `8501`.

    Attributes:
        addresses: dict of model names to their addresses, for
            `keras_t2i.export.Client`.
        command: list of strings that starts the server.
        files: dict of the paths of the files that it reads to their texts.

    Raises:
        ValueError: there are no models in the folder.
    """

    def __init__(self, models: str | os.PathLike, port: int = 8501):
        self._models = pathlib.Path(os.path.abspath(models))
        self._newest = _newest_versions(self._models)
        self._port = port
        self._program = find_program()
        self._process = None
        # What a reader can copy is shown even where nothing can be run.
        program = self._program or DockerProgram()
        folder = program.seen_folder(self._models)
        self.addresses = {
            name: f"http://{_HOST}:{port}/v1/models/{name}"
            for name in self._newest
        }
        self.files = {
            self._models / MODELS_CONFIG_FILE: models_config(
                {name: f"{folder}/{name}" for name in self._newest}
            ),
            self._models / BATCHING_PARAMETERS_FILE: batching_parameters(),
        }
        flags = [
            f"--model_config_file={folder}/{MODELS_CONFIG_FILE}",
            "--enable_batching",
            f"--batching_parameters_file={folder}/{BATCHING_PARAMETERS_FILE}",
        ]
        self.command = program.command(self._models, flags, port - 1, port)

    def __enter__(self):
        if self._program is None:
            raise ServerError(
                "TensorFlow Serving is needed. Received: no "
                "tensorflow_model_server on the PATH and no running Docker. "
                f"Install Docker (it gets {IMAGE}), or tensorflow_model_server "
                "from TensorFlow's apt repository, or name it by "
                f"${BINARY_VARIABLE}."
            )
        for port in (self._port, self._port - 1):
            _check_free(port)
        if self._program.listens_everywhere:
            warnings.warn(
                "tensorflow_model_server listens on all addresses of this "
                f"machine, at ports {self._port - 1} and {self._port}; keep "
                "others off by a firewall, or run it in Docker",
                stacklevel=2,
            )
        for path, text in self.files.items():
            with replace_when_whole(path) as temporary:
                temporary.write_text(text, "utf-8")
        # Its messages are for stderr, as progress is.
        self._process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=2
        )
        try:
            for name, version in self._newest.items():
                self._wait_until_available(name, version)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_):
        self._stop()

    def wait(self) -> None:
        """Waits for the server to end, which it does when something fails.

        Raises:
            ServerError: it has ended.
        """
        raise ServerError(
            f"TensorFlow Serving has ended with status {self._process.wait()}. "
            "Its own messages say why."
        )

    def _wait_until_available(self, name, version):
        while self._process.poll() is None:
            state, message = self._state(name, version)
            if state == "AVAILABLE":
                return
            if state == "END":
                raise ServerError(
                    f"TensorFlow Serving can not load version {version} of "
                    f"{str(self._models / name)!r}: {message}"
                )
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        self.wait()

    def _state(self, name, version):
        url = f"{self.addresses[name]}/versions/{version}"
        try:
            with _OPENER.open(url, timeout=10) as response:
                (status,) = json.load(response)["model_version_status"]
        except (OSError, ValueError):
            return "", ""  # It does not listen yet.
        return status["state"], status["status"].get("error_message", "")

    def _stop(self):
        if self._process.poll() is not None:
            return
        self._program.stop(self._process)
        try:
            self._process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _newest_versions(models):
    newest = {}
    if models.is_dir():
        for folder in sorted(models.iterdir()):
            found = versions(folder)
            if found:
                newest[folder.name] = found[-1]
    if not newest:
        hint = "which holds none"
        if versions(models):
            hint = f"which is one; name {str(models.parent)!r}"
        raise ValueError(
            "The folder of models must hold folders that `keras-t2i export` "
            f"has written. Received: {str(models)!r}, {hint}."
        )
    return newest


def _check_free(port):
    with socket.socket() as probe:
        # As servers do: a port whose last connections have just been closed
        # is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise ValueError(
                "The port of the REST API, and the one below it for gRPC, must "
                f"be free. Received: {port} ({error.strerror})"
            ) from None
