"""What the library writes to a terminal, or to what stands for one."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

_is_quiet = False


def visible(text: str) -> str:
    """Returns a text with escapes in place of characters that do not show.

    A file's name, or what a server answers, may hold a line break that fakes
    a line of this program, or a sequence that a terminal obeys.

    Example:

    >>> from keras_t2i.terminal import visible
    >>> print(visible("a.jpg\\nkeras-t2i: all is well"))
    a.jpg\\nkeras-t2i: all is well
    """
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape").decode()
        for character in text
    )


def print_result(*lines: str) -> None:
    """Writes what a command was run for to standard output."""
    try:
        for line in lines:
            print(visible(line), flush=True)
    except BrokenPipeError:
        # Whoever reads, such as `head`, has had enough.
        _leave(sys.stdout)


def print_note(line: str) -> None:
    """Writes what is worth knowing to standard error, unless it is quiet."""
    if not _is_quiet:
        print_error(line)


def print_error(line: str) -> None:
    """Writes an error or a warning, on one line, to standard error."""
    # Work does not end because nobody listens. Standard error may be closed.
    if sys.stderr is not None:
        try:
            print(visible(line), file=sys.stderr, flush=True)
        except OSError:
            _leave(sys.stderr)


def _leave(stream: TextIO) -> None:
    """Sends a stream to the null device.

    Python writes what is left in it when it ends, which must not fail again.
    """
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_quiet() -> bool:
    """Whether notes and progress are left out."""
    return _is_quiet


@contextlib.contextmanager
def quiet(wanted: bool = True) -> Iterator[None]:
    """Leaves notes and progress out of standard error, within the block."""
    global _is_quiet
    before = _is_quiet
    _is_quiet = wanted
    try:
        yield
    finally:
        _is_quiet = before
