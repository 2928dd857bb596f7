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
from collections.abc import Iterator
from typing import Any

from keras_t2i.errors import ServerError
from keras_t2i.export.loading_check import loading_error
from keras_t2i.export.model_folder import BATCHING_PARAMETERS_FILE
from keras_t2i.export.model_folder import IMAGE
from keras_t2i.export.model_folder import MODELS_CONFIG_FILE
from keras_t2i.export.model_folder import SAVED_MODEL_FILE
from keras_t2i.export.model_folder import SERVER_FLAGS
from keras_t2i.export.model_folder import batching_parameters
from keras_t2i.export.model_folder import check_batching_parameters
from keras_t2i.export.model_folder import check_name
from keras_t2i.export.model_folder import models_config
from keras_t2i.export.model_folder import version_entries
from keras_t2i.export.model_folder import versions
from keras_t2i.files import atomic_write
from keras_t2i.files import check_checksums
from keras_t2i.types import StrPath

BINARY_VARIABLE = "TF_SERVING_BINARY"
_BINARY = "tensorflow_model_server"
# The ports inside a container.
_GRPC_PORT, _REST_PORT = 8500, 8501
_SECONDS_TO_KILL = 30
_HOST = "127.0.0.1"
_LARGEST_PORT = 65535
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_STOP = 10
# No proxy for this machine itself, whatever is set.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LocalProgram:
    """`tensorflow_model_server`, installed on this machine."""

    # The program has no option to change that.
    listens_everywhere = True

    def __init__(self, path: str):
        self.path = path

    def seen_folder(self, models: pathlib.Path) -> str:
        """Returns the path by which the program sees the folder of models."""
        return str(models)

    def command(
        self, models: pathlib.Path, flags: list[str], grpc_port: int, port: int
    ) -> list[str]:
        """Returns the command that starts the program."""
        ports = [f"--port={grpc_port}", f"--rest_api_port={port}"]
        return [self.path, *ports, *flags]

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Ends what the command has started, if it still runs."""
        process.terminate()


class DockerProgram:
    """The image `tensorflow/serving` in Docker; methods as `LocalProgram`."""

    listens_everywhere = False

    def __init__(self) -> None:
        self._container = f"keras-t2i-{secrets.token_hex(4)}"

    def seen_folder(self, models: pathlib.Path) -> str:
        return "/models"

    def command(
        self, models: pathlib.Path, flags: list[str], grpc_port: int, port: int
    ) -> list[str]:
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

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        # A signal to `docker run` could come before it has a container.
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                ["docker", "kill", self._container],
                capture_output=True,
                timeout=_SECONDS_TO_KILL,
            )


def find_program() -> LocalProgram | DockerProgram | None:
    """Finds TensorFlow Serving on this machine.

    Returns what `$TF_SERVING_BINARY` names, else `tensorflow_model_server` on
    the PATH, else Docker if it runs, else `None`. Raises `ValueError` if
    `$TF_SERVING_BINARY` names no program.
    """
    named = os.environ.get(BINARY_VARIABLE)
    path = shutil.which(named or _BINARY)
    if path is not None:
        return LocalProgram(path)
    if named:
        raise ValueError(
            f"${BINARY_VARIABLE} must name a program that can be run. "
            f"Received: {named!r}. Unset it to take {_BINARY} from the PATH, "
            "or Docker."
        )
    return DockerProgram() if _docker_runs() else None


def _docker_runs() -> bool:
    try:
        # The client may be installed where no daemon runs.
        result = subprocess.run(
            ["docker", "info"], capture_output=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0


class ModelServer:
    """Runs TensorFlow Serving in another process.

    As a context manager it starts the server, waits until all models are
    available, and stops it at the end. The server is what
    `$TF_SERVING_BINARY` names, else `tensorflow_model_server` on the PATH, else
    the image `tensorflow/serving` in Docker. With Docker, only this machine can
    reach it. `tensorflow_model_server` always listens on all addresses of the
    machine, so a warning is given.

    One version that cannot be loaded would end the whole server. So each model
    is loaded before, and what fails is warned of: the version below it is
    served instead, or no version of that model.

    Two files are written into the folder of models: `models.config`, unless it
    is already right, and `batching_parameters.txt`, unless there is one. Users
    may change the latter.

    Args:
        models: path of a folder of models, each from `export_saved_model`.
        port: int, from 2 to 65535. The port of the REST API; gRPC has the one
            below. Defaults to `8501`.

    Attributes:
        addresses: dict of model names to their addresses, for
            `keras_t2i.export.Client`.
        command: list of strings that starts the server.
        files: dict of the paths of the files that it reads to their texts.

    Raises:
        ValueError: the folder holds no models, one has a name that cannot be
            served, `port` is out of range, or the batches are too small; as
            the context begins, no model can be loaded, or a port is taken.
    """

    _process: subprocess.Popen[bytes]

    def __init__(self, models: StrPath, port: int = 8501):
        if not isinstance(port, int) or not 2 <= port <= _LARGEST_PORT:
            raise ValueError(
                "`port` must be a whole number from 2 (gRPC has the port "
                f"below) to {_LARGEST_PORT}. Received: {port!r}"
            )
        self._models = pathlib.Path(os.path.abspath(models))
        names = _model_names(self._models)
        self._port = port
        program = find_program()
        self._is_installed = program is not None
        # Shown even where it cannot be run: a reader can copy the command.
        self._program = program or DockerProgram()
        self._seen_folder = folder = self._program.seen_folder(self._models)
        self.addresses = {
            name: f"http://{_HOST}:{port}/v1/models/{name}" for name in names
        }
        batching_file = self._models / BATCHING_PARAMETERS_FILE
        batching = _text(batching_file)
        if batching is None:
            batching = batching_parameters()
        check_batching_parameters(batching, batching_file)
        self.files = {
            self._models / MODELS_CONFIG_FILE: self._config({}),
            batching_file: batching,
        }
        flags = [
            f"--model_config_file={folder}/{MODELS_CONFIG_FILE}",
            "--enable_batching",
            f"--batching_parameters_file={folder}/{BATCHING_PARAMETERS_FILE}",
            *SERVER_FLAGS,
        ]
        self.command = self._program.command(
            self._models, flags, port - 1, port
        )

    def __enter__(self) -> "ModelServer":
        if not self._is_installed:
            raise ServerError(
                "TensorFlow Serving is needed. Received: no "
                "tensorflow_model_server on the PATH and no running Docker. "
                f"Install Docker (it gets {IMAGE}), or tensorflow_model_server "
                "from TensorFlow's apt repository, or set "
                f"${BINARY_VARIABLE} to its path."
            )
        for port in (self._port, self._port - 1):
            _check_free(port)
        self._leave_out_what_cannot_be_loaded()
        if self._program.listens_everywhere:
            warnings.warn(
                "tensorflow_model_server listens on all addresses of this "
                f"machine, at ports {self._port - 1} and {self._port}; keep "
                "others off by a firewall, or run it in Docker",
                stacklevel=2,
            )
        for path, text in self.files.items():
            # The folder may be read-only.
            if _text(path) != text:
                with atomic_write(path) as temporary:
                    temporary.write_text(text, "utf-8")
        # Its messages go to stderr, as progress does.
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

    def _leave_out_what_cannot_be_loaded(self) -> None:
        pinned = {}
        for name in list(self.addresses):
            version, errors = _newest_loadable(self._models / name)
            instead = "this model is not served"
            if version is not None:
                instead = f"version {version} is served instead"
            for path, error in errors.items():
                warnings.warn(
                    f"{str(path)!r} cannot be loaded: {error}. Until it is "
                    f"replaced and the server started again, {instead}",
                    stacklevel=3,
                )
            if version is None:
                del self.addresses[name]
            elif errors:
                pinned[name] = version
        if not self.addresses:
            raise ValueError(
                "At least one model must have a version that can be loaded. "
                f"Received: {str(self._models)!r}, which holds none. Export a "
                "model again, or wait until it is copied."
            )
        self.files[self._models / MODELS_CONFIG_FILE] = self._config(pinned)

    def _config(self, pinned: dict[str, int]) -> str:
        folders = {
            name: f"{self._seen_folder}/{name}" for name in self.addresses
        }
        return models_config(folders, pinned)

    def __exit__(self, *_: Any) -> None:
        self._stop()

    def wait(self) -> None:
        """Waits until the server ends, which means that something has failed.

        Raises:
            ServerError: the server has ended.
        """
        # Not one blocking call: Python would miss a signal just before it.
        while not self._has_ended():
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        raise ServerError(
            f"TensorFlow Serving has ended with status {self._process.wait()}. "
            "Its own messages say why."
        )

    def _has_ended(self) -> bool:
        # Not by `poll`: an interrupt may leave its lock behind, and then
        # nothing can wait for the process any more.
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def _wait_until_available(self, name: str) -> None:
        while not self._has_ended():
            # Any version: another one may be exported meanwhile.
            statuses = self._statuses(name)
            if any(status["state"] == "AVAILABLE" for status in statuses):
                return
            for status in statuses:
                result = status["status"]
                # A version that was replaced has also ended, without an error.
                if status["state"] == "END" and result["error_code"] != "OK":
                    raise ServerError(
                        "TensorFlow Serving cannot load version "
                        f"{status['version']} of {str(self._models / name)!r}: "
                        f"{result['error_message']}"
                    )
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        self.wait()

    def _statuses(self, name: str) -> list[Any]:
        try:
            with _OPENER.open(self.addresses[name], timeout=10) as response:
                return json.load(response)["model_version_status"]
        except (OSError, http.client.HTTPException, ValueError):
            return []  # It does not listen yet.

    def _stop(self) -> None:
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
def _uninterrupted() -> Iterator[None]:
    """Ignores Ctrl-C, which would leave the server behind."""
    try:
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # Only the main thread can be interrupted.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _model_names(models: pathlib.Path) -> list[str]:
    names = []
    for folder in sorted(models.iterdir()) if models.is_dir() else []:
        if version_entries(folder):
            check_name(folder.name)
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


def _newest_loadable(
    folder: pathlib.Path,
) -> tuple[int | None, dict[pathlib.Path, str]]:
    """Returns a model's version to serve, and the errors of those above it."""
    errors: dict[pathlib.Path, str] = {}
    for entry in reversed(version_entries(folder)):
        error: str | None = f"it holds no {SAVED_MODEL_FILE}"
        if (entry / SAVED_MODEL_FILE).is_file():
            try:
                check_checksums(entry, [SAVED_MODEL_FILE])
            except (ValueError, OSError) as damage:
                error = str(damage).rstrip(".")
            else:
                error = loading_error(entry)
        if error is None:
            return int(entry.name), errors
        errors[entry] = error
    return None, errors


def _text(path: pathlib.Path) -> str | None:
    return path.read_text("utf-8", "replace") if path.is_file() else None


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        # As servers do: recently closed connections do not occupy a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise ValueError(
                "The port of the REST API, and the one below it for gRPC, must "
                f"be free. Received: {port} ({error.strerror}). Give another "
                "port."
            ) from None
