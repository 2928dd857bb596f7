"""Forked processes, which have TensorFlow loaded from the start.

To import it takes longer than most of what is tried. The parent must not have
computed anything with it: threads do not survive a fork.
"""

import os
import traceback

_CRASHED = 70


def start(function, *arguments, output=os.devnull):
    """Calls a function in a child, whose status it returns; gives its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = _CRASHED
    try:
        file = output
        if not isinstance(output, int):
            file = os.open(output, os.O_WRONLY)
        os.dup2(file, 1)
        os.dup2(file, 2)
        status = function(*arguments) or 0
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def run(function, *arguments):
    """Runs a function in a child; returns its status and what it printed."""
    # A pipe, as a limit on the size of files is none on it.
    reading, writing = os.pipe()
    pid = start(function, *arguments, output=writing)
    os.close(writing)
    with open(reading, "rb") as file:
        printed = file.read().decode("utf-8", "replace")
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), printed


def must_run(function, *arguments):
    """Runs a function in a child where it has to succeed."""
    status, printed = run(function, *arguments)
    if status:
        raise RuntimeError(f"{arguments} ended with status {status}: {printed}")
