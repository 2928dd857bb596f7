"""Asks a SavedModel in this process."""

import os
import pathlib

import numpy as np
import tensorflow as tf

from keras_t2i.errors import ServerError
from keras_t2i.export.model_folder import SAVED_MODEL_FILE
from keras_t2i.export.model_folder import version_folder
from keras_t2i.export.model_folder import versions


class SavedModelTransport:
    """Answers from a SavedModel, without a server.

    Args:
        path: path of a model's folder, whose newest version is loaded, or of
            the folder of one version.

    Raises:
        ValueError: there is no SavedModel.
    """

    def __init__(self, path: str | os.PathLike):
        path = pathlib.Path(path)
        if not (path / SAVED_MODEL_FILE).is_file():
            found = versions(path)
            if not found:
                raise ValueError(
                    "A model must be the address of a served one, such as "
                    "http://localhost:8501/v1/models/NAME, or a folder that "
                    "`keras-t2i export` has written. Received: "
                    f"{str(path)!r}, which holds no SavedModel."
                )
            path = version_folder(path, found[-1])
        self._path = path
        try:
            self._signatures = tf.saved_model.load(str(path)).signatures
        except Exception as error:
            # TensorFlow raises errors of many kinds for damaged files.
            raise ValueError(
                "A model's folder must hold a SavedModel. Received: "
                f"{str(path)!r}, which can not be loaded: {error}"
            ) from error

    def ask(self, signature: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the one output of a signature, as `RestTransport` does."""
        if signature not in self._signatures:
            raise ServerError(
                f"The model must have the signature {signature!r}. Received: "
                f"one with {sorted(self._signatures)}"
            )
        rows = {name: tf.constant(values) for name, values in inputs.items()}
        try:
            (output,) = self._signatures[signature](**rows).values()
        except Exception as error:
            # Of many kinds again, where another program has written the model
            # or, for example, memory has run out.
            raise ServerError(
                f"{str(self._path)!r}, which must be a model that `keras-t2i "
                f"export` has written, has failed at {signature!r}: {error}"
            ) from error
        return output.numpy()
