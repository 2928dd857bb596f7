"""What numbers may depend on besides data and models."""

import platform

import keras
import numpy as np
import PIL
import tensorflow as tf

from keras_t2i.version import __version__


def versions() -> dict[str, str]:
    """Returns the versions of what measures."""
    return {
        "keras_t2i": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
    }
