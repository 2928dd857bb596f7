"""The `keras-t2i` command."""

import argparse
import errno
import gc
import sys
import warnings
from collections.abc import Sequence
from typing import Any
from typing import NoReturn

from keras_t2i.cli import demo
from keras_t2i.cli import embed
from keras_t2i.cli import evaluate
from keras_t2i.cli import export
from keras_t2i.cli import generate
from keras_t2i.cli import prepare
from keras_t2i.cli import pretrained_models
from keras_t2i.cli import train
from keras_t2i.errors import FailedWhileRunning
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
    pretrained_models.add_parser,
    generate.add_generate,
    evaluate.add_evaluate,
    train.add_train_style,
    generate.add_interpolate,
    generate.add_transfer,
    export.add_export,
    export.add_serve,
)
# Failures of the machine, not bad input.
_DISK_FAILURES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One line, as for all other bad input, without the usage before it.
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: list of strings. Defaults to the arguments of the process.

    Returns:
        0 on success, 2 for bad usage or bad input, 1 for a failure while
        running, 130 when interrupted.
    """
    parser = _Parser(
        prog="keras-t2i",
        description="Train and use GANs that generate images from captions "
        "(Reed et al., 2016).",
    )
    parser.add_argument(
        "--version", action="version", version=f"keras-t2i {__version__}"
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for add_command in _COMMANDS:
        add_command(subparsers)
    arguments = parser.parse_args(argv)
    if getattr(arguments, "out", None) == "":
        parser.error("--out must name a file or a folder. Received: ''")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            arguments.run(arguments)
    except (FloatingPointError, FailedWhileRunning) as error:
        _show_error(error)
        return 1
    except (ValueError, OSError) as error:
        _show_error(error)
        return 1 if getattr(error, "errno", None) in _DISK_FAILURES else 2
    except KeyboardInterrupt:
        print("keras-t2i: interrupted", file=sys.stderr)
        return 130
    finally:
        # After a failure a stream of batches may still be alive. Its threads
        # run Python: unless it ends before the interpreter, it waits forever.
        gc.collect()
    return 0


def _show_error(error: BaseException) -> None:
    message = " ".join(str(error).split())
    print(f"keras-t2i: {message}", file=sys.stderr)


def _show_warning(message: Warning | str, *where: Any, **more: Any) -> None:
    # One line, without the line of code that warned.
    print(f"keras-t2i: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
