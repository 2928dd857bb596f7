"""Runs TensorFlow Serving over a folder of exported models."""

import contextlib
import http.client
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import warnings

from keras_t2i.errors import ServerError
from keras_t2i.export.model_folder import SAVED_MODEL_FILE
from keras_t2i.export.model_folder import check_name
from keras_t2i.export.model_folder import newest_entry
from keras_t2i.export.model_folder import versions
from keras_t2i.export.serving_files import BATCHING_PARAMETERS_FILE
from keras_t2i.export.serving_files import IMAGE
from keras_t2i.export.serving_files import LOAD_RETRIES_FLAG
from keras_t2i.export.serving_files import MODELS_CONFIG_FILE
from keras_t2i.export.serving_files import REST_TIMEOUT_FLAG
from keras_t2i.export.serving_files import batching_parameters
from keras_t2i.export.serving_files import check_batching_parameters
from keras_t2i.export.serving_files import models_config
from keras_t2i.files import atomic_write

BINARY_VARIABLE = "TF_SERVING_BINARY"
_BINARY = "tensorflow_model_server"
# The ports inside of a container.
_GRPC_PORT, _REST_PORT = 8500, 8501
_SECONDS_TO_KILL = 30
_HOST = "127.0.0.1"
_LARGEST_PORT = 65535
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_STOP = 10
# To this machine itself, whatever proxy is set.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LocalProgram:
    """`tensorflow_model_server`, installed on this machine.

    Args:
        path: string. The program.
    """

    # It has no option against it.
    listens_everywhere = True

    def __init__(self, path: str):
        self.path = path

    def seen_folder(self, models: pathlib.Path) -> str:
        """Returns the path by which it sees the folder of models."""
        return str(models)

    def command(
        self, models: pathlib.Path, flags: list[str], grpc_port: int, port: int
    ) -> list[str]:
        """Returns the command that starts it, with its own flags at the end."""
        return [
            self.path,
            f"--port={grpc_port}",
            f"--rest_api_port={port}",
            *flags,
        ]

    def stop(self, process: subprocess.Popen) -> None:
        """Ends the process that the command has started, if it still runs."""
        process.terminate()


class DockerProgram:
    """The image `tensorflow/serving`, run by Docker."""

    listens_everywhere = False

    def __init__(self):
        self._container = f"keras-t2i-{secrets.token_hex(4)}"

    def seen_folder(self, models: pathlib.Path) -> str:
        """Returns the path by which it sees the folder of models."""
        return "/models"

    def command(
        self, models: pathlib.Path, flags: list[str], grpc_port: int, port: int
    ) -> list[str]:
        """Returns the command that starts it, with its own flags at the end."""
        return [
            *["docker", "run", "--rm", "--name", self._container],
            # The image starts a shell, which would pass no signal on.
            *["--init", "--entrypoint", _BINARY],
            *["--publish", f"127.0.0.1:{grpc_port}:{_GRPC_PORT}"],
            *["--publish", f"127.0.0.1:{port}:{_REST_PORT}"],
            *["--mount", f"type=bind,source={models},target=/models,readonly"],
            IMAGE,
            f"--port={_GRPC_PORT}",
            f"--rest_api_port={_REST_PORT}",
            *flags,
        ]

    def stop(self, process: subprocess.Popen) -> None:
        """Ends the container that the command has started, if it still runs."""
        # Not by a signal to `docker run`, which may not have come so far.
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                ["docker", "kill", self._container],
                capture_output=True,
                timeout=_SECONDS_TO_KILL,
            )


def find_program() -> LocalProgram | DockerProgram | None:
    """Finds TensorFlow Serving on this machine.

    Returns:
        What `$TF_SERVING_BINARY` names, else `tensorflow_model_server` on the
        PATH, else Docker where it runs, else `None`.

    Raises:
        ValueError: `$TF_SERVING_BINARY` names no program.
    """
    named = os.environ.get(BINARY_VARIABLE)
    path = shutil.which(named or _BINARY)
    if path is not None:
        return LocalProgram(path)
    if named:
        raise ValueError(
            f"${BINARY_VARIABLE} must name a program that can be run. "
            f"Received: {named!r}. Leave it out to take {_BINARY} from the "
            "PATH, or Docker."
        )
    return DockerProgram() if _docker_runs() else None


def _docker_runs():
    try:
        # The client may be installed where no daemon runs.
        result = subprocess.run(
            ["docker", "info"], capture_output=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0


class ModelServer:
    """TensorFlow Serving, as a process of its own.

    As a context manager it starts the server, waits until all models are
    available, and stops it at the end. The server is what
    `$TF_SERVING_BINARY` names, else `tensorflow_model_server` on the PATH, else
    the image `tensorflow/serving` in Docker. With Docker it can be reached from
    this machine only; `tensorflow_model_server` itself listens on all of the
    machine's addresses and has no option against it, which is warned of.

    Two files are written into the folder of models: `models.config`, unless it
    already says what it must, and `batching_parameters.txt`, unless there is
    one, which may be changed.

    Args:
        models: path of a folder of models, each as `export_saved_model` writes
            it.
        port: int, from 2 to 65535. Of the REST API; gRPC has the one below.
            Defaults to `8501`.

    Attributes:
        addresses: dict of model names to their addresses, for
            `keras_t2i.export.Client`.
        command: list of strings that starts the server.
        files: dict of the paths of the files that it reads to their texts.

    Raises:
        ValueError: there are no models in the folder, one can not be served,
            there can not be such a port, or batches are too small.
    """

    def __init__(self, models: str | os.PathLike, port: int = 8501):
        if not isinstance(port, int) or not 2 <= port <= _LARGEST_PORT:
            raise ValueError(
                "`port` must be a whole number from 2, for gRPC has the port "
                f"below, to {_LARGEST_PORT}. Received: {port!r}"
            )
        self._models = pathlib.Path(os.path.abspath(models))
        names = _model_names(self._models)
        self._port = port
        self._program = find_program()
        self._process = None
        # What a reader can copy is shown even where nothing can be run.
        program = self._program or DockerProgram()
        folder = program.seen_folder(self._models)
        self.addresses = {
            name: f"http://{_HOST}:{port}/v1/models/{name}" for name in names
        }
        config = models_config({name: f"{folder}/{name}" for name in names})
        batching_file = self._models / BATCHING_PARAMETERS_FILE
        batching = _text(batching_file)
        if batching is None:
            batching = batching_parameters()
        check_batching_parameters(batching, str(batching_file))
        self.files = {
            self._models / MODELS_CONFIG_FILE: config,
            batching_file: batching,
        }
        flags = [
            f"--model_config_file={folder}/{MODELS_CONFIG_FILE}",
            "--enable_batching",
            f"--batching_parameters_file={folder}/{BATCHING_PARAMETERS_FILE}",
            REST_TIMEOUT_FLAG,
            LOAD_RETRIES_FLAG,
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
            # The folder may be one that must not be written to.
            if _text(path) != text:
                with atomic_write(path) as temporary:
                    temporary.write_text(text, "utf-8")
        # Its messages are for stderr, as progress is.
        self._process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=2
        )
        try:
            for name in self.addresses:
                self._wait_until_available(name)
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
        # Not by one call that waits: Python would not see a signal that comes
        # just before it.
        while not self._has_ended():
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        raise ServerError(
            f"TensorFlow Serving has ended with status {self._process.wait()}. "
            "Its own messages say why."
        )

    def _has_ended(self):
        # Not by `poll`: what interrupts it may leave a lock behind, and then
        # the process can never be waited for.
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def _wait_until_available(self, name):
        while not self._has_ended():
            # Of any version: another one may be exported while this waits.
            statuses = self._statuses(name)
            if any(status["state"] == "AVAILABLE" for status in statuses):
                return
            for status in statuses:
                result = status["status"]
                # A version that was replaced has ended as well, without error.
                if status["state"] == "END" and result["error_code"] != "OK":
                    raise ServerError(
                        "TensorFlow Serving can not load version "
                        f"{status['version']} of {str(self._models / name)!r}: "
                        f"{result['error_message']}"
                    )
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        self.wait()

    def _statuses(self, name):
        try:
            with _OPENER.open(self.addresses[name], timeout=10) as response:
                return json.load(response)["model_version_status"]
        except (OSError, http.client.HTTPException, ValueError):
            return []  # It does not listen yet.

    def _stop(self):
        with _uninterrupted():
            self._program.stop(self._process)
            try:
                self._process.wait(_SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                # `docker run` may have started the container only now.
                self._program.stop(self._process)


@contextlib.contextmanager
def _uninterrupted():
    """Ignores Ctrl-C, which would leave the server behind."""
    try:
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # Not in the main thread, which alone is interrupted.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _model_names(models):
    names = []
    for folder in sorted(models.iterdir()) if models.is_dir() else []:
        newest = newest_entry(folder)
        if newest is None:
            continue
        check_name(folder.name)
        if not (newest / SAVED_MODEL_FILE).is_file():
            raise ValueError(
                "The highest version of a model, which is the one that is "
                f"served, must be a whole SavedModel. Received: {str(newest)!r}"
                f", which holds no {SAVED_MODEL_FILE}. Wait for it to be "
                "copied, or remove it."
            )
        names.append(folder.name)
    if not names:
        hint = "which holds none"
        if versions(models):
            hint = f"which is one; name {str(models.parent)!r}"
        raise ValueError(
            "The folder of models must hold folders that `keras-t2i export` "
            f"has written. Received: {str(models)!r}, {hint}."
        )
    return names


def _text(path):
    """Returns the text of a file; of none, `None`."""
    return path.read_text("utf-8", "replace") if path.is_file() else None


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
                f"be free. Received: {port} ({error.strerror}). Give another "
                "port."
            ) from None
