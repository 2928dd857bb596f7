"""The programs that TensorFlow Serving comes as."""

import contextlib
import os
import pathlib
import secrets
import shutil
import subprocess

IMAGE = "tensorflow/serving:2.20.0"
BINARY_VARIABLE = "TF_SERVING_BINARY"
_BINARY = "tensorflow_model_server"
# The ports inside of a container.
_GRPC_PORT, _REST_PORT = 8500, 8501
_SECONDS_TO_KILL = 30


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
