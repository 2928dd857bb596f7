"""Makes sure that Keras runs on TensorFlow."""

import os
import sys


def check_keras_backend() -> None:
    """Fails where Keras is set to another backend.

    Raises:
        ImportError: it is.
    """
    if "keras" in sys.modules:
        backend = sys.modules["keras"].backend.backend()
    else:
        # To be asked before TensorFlow is imported, which imports Keras and
        # fails where that backend is not installed.
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise ImportError(
            "keras_t2i needs the TensorFlow backend of Keras. Received: "
            f"{backend!r}. Set the environment variable "
            "KERAS_BACKEND=tensorflow before Python starts."
        )
