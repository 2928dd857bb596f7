"""Imports TensorFlow without its start-up messages."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keeps back what is written to standard error, unless the block fails.

    TensorFlow's C++ side writes to the process' standard error before its own
    log level is in force, so `TF_CPP_MIN_LOG_LEVEL` alone does not silence it.
    """
    # Read once, when TensorFlow is first imported. A user's own value stays.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "TF_CPP_MAX_VLOG_LEVEL" in os.environ:
        # Somebody is debugging TensorFlow.
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except BaseException:
            messages.seek(0)
            os.write(kept, messages.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
