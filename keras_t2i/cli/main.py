"""The `keras-t2i` command."""

import argparse
import contextlib
import errno
import gc
import os
import sys
import warnings
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import NoReturn

from keras_t2i.cli import demo
from keras_t2i.cli import embed
from keras_t2i.cli import evaluate
from keras_t2i.cli import export
from keras_t2i.cli import generate
from keras_t2i.cli import play
from keras_t2i.cli import prepare
from keras_t2i.cli import train
from keras_t2i.cli.options import options_named
from keras_t2i.errors import FailedWhileRunning
from keras_t2i.errors import Terminated
from keras_t2i.errors import interruption_by
from keras_t2i.errors import interruptions_handled
from keras_t2i.terminal import print_error
from keras_t2i.terminal import quiet
from keras_t2i.terminal import visible
from keras_t2i.version import __version__

# Each adds a command, in the order of a project, and sets `run` on its parser.
# Only `run` imports what takes long, such as TensorFlow, so that help and
# errors in the options appear at once.
_COMMANDS = (
    demo.add_parser,
    prepare.add_parser,
    train.add_train_text,
    evaluate.add_evaluate_text,
    embed.add_parser,
    train.add_train,
    evaluate.add_models,
    generate.add_generate,
    evaluate.add_evaluate,
    train.add_train_style,
    generate.add_interpolate,
    generate.add_transfer,
    play.add_parser,
    export.add_export,
    export.add_serve,
)
# Failures of the machine, not bad input.
_DISK_FAILURES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class _Parser(argparse.ArgumentParser):
    def parse_known_args(  # type: ignore[override]
        self, *arguments: Any
    ) -> tuple[Any, list[str]]:
        namespace, unknown = super().parse_known_args(*arguments)
        if unknown:
            # By the command's own parser, whose help lists what there is.
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def options_of(self, name: str) -> list[str]:
        """Lists the options that give an argument its value."""
        return [
            action.option_strings[-1]
            for action in self._actions
            if action.dest == name
        ]

    def error(self, message: str) -> NoReturn:
        # One line, as for all other bad input, without the usage before it.
        line = visible(f"{self.prog}: {message}. See {self.prog} --help.")
        self.exit(2, line + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command, with the process' arguments if `argv` is `None`.

    Returns 0 on success, 2 for bad usage or bad input, 1 for a failure while
    running, 130 when interrupted by Ctrl-C, 143 by SIGTERM.
    """
    _open_standard_streams()
    parser = _Parser(
        prog="keras-t2i",
        description="Train and use GANs that generate images from captions "
        "(Reed et al., 2016).",
    )
    parser.add_argument(
        "--version", action="version", version=f"keras-t2i {__version__}"
    )
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True
    )
    for add_command in _COMMANDS:
        add_command(subparsers)
    for command in subparsers.choices.values():
        command.add_argument(
            "--quiet",
            action="store_true",
            help="write only errors, warnings and results: no progress",
        )
    arguments = parser.parse_args(argv)
    received: list[KeyboardInterrupt] = []
    for name, value in vars(arguments).items():
        has_paths = name in ("source", "style") and isinstance(value, list)
        if "" in (value if has_paths else [value]):
            # As a path, it would be the current folder.
            command = subparsers.choices[arguments.command]
            options = command.options_of(name)
            command.error(
                f"{' or '.join(options)} must not be empty. Received: ''"
            )
    try:
        with (
            warnings.catch_warnings(),
            _ended_by_signals(received),
            quiet(arguments.quiet),
            options_named(arguments, out_path="out"),
        ):
            warnings.showwarning = _show_warning
            arguments.run(arguments)
    except (
        FloatingPointError,
        FailedWhileRunning,
        ChildProcessError,
    ) as error:
        _show_error(error)
        return 1
    except (ValueError, OSError) as error:
        _show_error(error)
        return 1 if getattr(error, "errno", None) in _DISK_FAILURES else 2
    except KeyboardInterrupt as interruption:
        return _ended_by(interruption)
    except Exception:
        # An import that is interrupted can fail in other ways.
        if received:
            return _ended_by(received[0])
        raise
    finally:
        # After a failure a stream of batches may still be alive. Its threads
        # run Python: unless it ends before the interpreter, it waits forever.
        gc.collect()
    return 0


def _open_standard_streams() -> None:
    """Puts the null device where a standard stream is closed.

    The next file that is opened would be that stream, and get what TensorFlow
    writes to it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")


@contextlib.contextmanager
def _ended_by_signals(received: list[KeyboardInterrupt]) -> Iterator[None]:
    """Ctrl-C and SIGTERM raise an error, which is also put into the list."""

    def on_signal(number: int, frame: object) -> NoReturn:
        received.append(interruption_by(number))
        raise received[-1]

    with interruptions_handled(on_signal):
        yield


def _ended_by(interruption: KeyboardInterrupt) -> int:
    if isinstance(interruption, Terminated):
        print_error("keras-t2i: terminated")
        return 143
    print_error("keras-t2i: interrupted")
    return 130


def _show_error(error: BaseException) -> None:
    print_error("keras-t2i: " + " ".join(str(error).split()))


def _show_warning(message: Warning | str, *where: Any, **more: Any) -> None:
    # One line, without the line of code that warned.
    print_error("keras-t2i: warning: " + " ".join(str(message).split()))


if __name__ == "__main__":
    sys.exit(main())
