"""The `keras-t2i` command."""

import argparse
import errno
import gc
import sys
import warnings
from collections.abc import Sequence

from keras_t2i.cli import demo
from keras_t2i.cli import embed
from keras_t2i.cli import evaluate
from keras_t2i.cli import evaluate_text
from keras_t2i.cli import export
from keras_t2i.cli import generate
from keras_t2i.cli import interpolate
from keras_t2i.cli import prepare
from keras_t2i.cli import serve
from keras_t2i.cli import train
from keras_t2i.cli import train_style
from keras_t2i.cli import train_text
from keras_t2i.cli import transfer
from keras_t2i.errors import FailedWhileRunning
from keras_t2i.version import __version__

# Each module has `add_parser(subparsers)`, which sets `run` on its parser. What
# takes long to import, such as TensorFlow, is imported in `run` alone: help and
# errors in the options are there at once.
_COMMANDS = (
    demo,
    prepare,
    train_text,
    evaluate_text,
    embed,
    train,
    generate,
    evaluate,
    train_style,
    interpolate,
    transfer,
    export,
    serve,
)


# A full disk is not the fault of what was asked for.
_DISK_FAILURES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        # One line, as for all other bad input: no usage before it.
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: list of strings. Defaults to the process' own arguments.

    Returns:
        0 on success, 2 for bad usage or bad input, 1 for a failure while
        running, 130 when interrupted.
    """
    parser = _Parser(
        prog="keras-t2i",
        description="Train and use GANs that turn a sentence into a picture "
        "(Reed et al., 2016).",
    )
    parser.add_argument(
        "--version", action="version", version=f"keras-t2i {__version__}"
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(subparsers)
    arguments = parser.parse_args(argv)
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
        # What failed may still hold a stream of batches. Its threads run
        # Python, so it must end before the interpreter does, or waits for ever.
        gc.collect()
    return 0


def _show_error(error):
    message = " ".join(str(error).split())
    print(f"keras-t2i: {message}", file=sys.stderr)


def _show_warning(message, *where, **more):
    # One line, without the line of code that it comes from.
    print(f"keras-t2i: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
