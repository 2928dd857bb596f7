"""What ends work before its time: failures, Ctrl-C and SIGTERM."""

import contextlib
import signal
from collections.abc import Callable
from collections.abc import Iterator


class FailedWhileRunning(Exception):
    """The arguments may be right, yet the work could not be done.

    A command that raises it ends with status 1; bad input gives status 2.
    """


class TrainingError(FailedWhileRunning):
    """A training cannot continue, though its arguments may be right."""


class ServerError(FailedWhileRunning):
    """A model server is not there, or refused or failed a request."""


def first_line(error: Exception) -> str:
    """Returns the first line of what an error says, never an empty one."""
    return (str(error).strip() or repr(error)).splitlines()[0]


class Terminated(KeyboardInterrupt):
    """SIGTERM, which schedulers and containers send, has ended the work."""


def interruption_by(number: int) -> KeyboardInterrupt:
    """Returns the error to raise for a signal."""
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


@contextlib.contextmanager
def interruptions_handled(
    handler: Callable[[int, object], None] | signal.Handlers,
) -> Iterator[Callable[[], None]]:
    """Has a function called on Ctrl-C and SIGTERM, within the block.

    Signals that are ignored stay so. Outside of the main thread nothing is
    handled. `handler` takes the signal's number and the frame; with
    `signal.SIG_DFL` the process ends at once. The block gets a function that
    puts the earlier handlers back.
    """
    earlier = {
        number: before
        for number in (signal.SIGINT, signal.SIGTERM)
        if (before := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }

    def put_back() -> None:
        with contextlib.suppress(ValueError):
            for number, before in earlier.items():
                signal.signal(number, before)

    try:
        with contextlib.suppress(ValueError):
            for number in earlier:
                signal.signal(number, handler)
        yield put_back
    finally:
        put_back()
