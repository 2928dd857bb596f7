"""A folder with a model: its config as JSON, and its weights."""

import json
import pathlib

import keras

from keras_t2i.checksums import check_checksums
from keras_t2i.checksums import write_checksums
from keras_t2i.files import atomic_write
from keras_t2i.keras_files import check_config
from keras_t2i.keras_files import check_weights
from keras_t2i.keras_files import load_keras_file
from keras_t2i.reading import read_json
from keras_t2i.types import StrPath

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
# What a run folder has in place of these two.
_MODEL_OF_RUN = "model.keras"


def is_folder(path: StrPath) -> bool:
    """Whether a path leads to a folder."""
    return pathlib.Path(path).is_dir()


def preset_weights(path: StrPath) -> pathlib.Path:
    """Returns the file of weights of a folder of `save_preset_folder`."""
    return pathlib.Path(path) / _WEIGHTS


def save_preset_folder(model: keras.Model, path: StrPath) -> None:
    """Writes a model's config and weights, without its optimizers.

    Args:
        model: `keras.Model` of this library.
        path: path of the folder. It may exist.

    Raises:
        OSError: a file cannot be written.
    """
    path = pathlib.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    with atomic_write(preset_weights(path)) as temporary:
        model.save_weights(temporary)
    with atomic_write(path / _CONFIG) as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    write_checksums(path, [_CONFIG, _WEIGHTS])


def load_preset_folder(path: StrPath) -> keras.Model:
    """Returns the model of a folder, not compiled.

    Nothing in the folder is executed.

    Args:
        path: path of a folder from `save_preset_folder`, or of a run folder
            with a `model.keras`.

    Raises:
        ValueError: it is neither, or its files are damaged.
    """
    path = pathlib.Path(path)
    is_run = (path / _MODEL_OF_RUN).is_file()
    if not is_run and not preset_weights(path).is_file():
        raise ValueError(
            "A folder to load from must be a run folder with a model.keras, "
            "or one that `save_to_preset` has written. Received: "
            f"{str(path)!r}, which is neither"
        )
    try:
        if is_run:
            return load_keras_file(path / _MODEL_OF_RUN)
        check_checksums(path, [_CONFIG, _WEIGHTS])
        config = read_json(path / _CONFIG)
        check_config(config)
        check_weights(preset_weights(path))
        model = keras.saving.deserialize_keras_object(config)
        model.load_weights(preset_weights(path))
    except Exception as error:
        # Keras raises errors of many kinds for files that are damaged.
        first_line = (str(error).strip() or repr(error)).splitlines()[0]
        raise ValueError(
            "A folder to load from must hold a model that this library has "
            f"saved. Received: {str(path)!r}, which cannot be loaded: "
            f"{first_line}"
        ) from error
    return model
