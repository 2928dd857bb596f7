"""Asking again where a server has too much to do."""

import time
from collections.abc import Callable

# Seconds before the second, third, ... try.
_WAITS = (0.2, 0.4, 0.8, 1.6)


class Unavailable(Exception):
    """The server says that it can not answer now."""


def with_retries(ask: Callable):
    """Calls a function again after each `Unavailable`, later and later.

    Any other error passes at once: asking again would not help, or would do
    the same work twice.

    Args:
        ask: function without arguments.

    Returns:
        What it returns.

    Raises:
        Unavailable: the last one, after five tries.
    """
    for wait in _WAITS:
        try:
            return ask()
        except Unavailable:
            time.sleep(wait)
    return ask()
