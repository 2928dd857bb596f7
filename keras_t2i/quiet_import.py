"""Imports TensorFlow without its start-up messages."""

import os
import sys
import tempfile


def import_tensorflow_quietly() -> None:
    """Imports TensorFlow and its text operations, silent unless that fails.

    TensorFlow's C++ side writes to the process' standard error before its own
    log level is in force, so `TF_CPP_MIN_LOG_LEVEL` alone does not silence it.
    """
    # Read once, when TensorFlow is first imported. A user's own value stays.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules:
        return
    if "TF_CPP_MAX_VLOG_LEVEL" in os.environ:
        return  # Somebody is debugging TensorFlow.
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
            import tensorflow_text  # noqa: F401
        except BaseException:
            messages.seek(0)
            os.write(kept, messages.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
