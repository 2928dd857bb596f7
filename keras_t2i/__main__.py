"""The `keras-t2i` command, and `python -m keras_t2i`."""

import signal
import sys

from keras_t2i.terminal import print_error


def main() -> int:
    """Runs one command, by the arguments of the process; returns its status."""
    try:
        # It takes a moment, in which Ctrl-C may come.
        from keras_t2i.cli import main as command_line
    except KeyboardInterrupt:
        print_error("keras-t2i: interrupted")
        return 130
    try:
        status = command_line.main()
    except KeyboardInterrupt:
        # Once more, after a command has said that it ends.
        status = 130
    if status in (130, 143):
        # Python would print where it is, which is at its end.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return status


if __name__ == "__main__":
    sys.exit(main())
