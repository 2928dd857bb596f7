"""Models in files: `.keras` files, and folders with a config and weights.

They are loaded without trusting who wrote them. The safe mode of Keras refuses
what it knows to hold code. A config may still name any function that Keras
exports, and have it called while the model is built. So a config here names
layers and what belongs to them, or classes that are registered, and nothing
else.
"""

import io
import json
import os
import pathlib
import re
import zipfile
from typing import Any

import h5py
import keras

from keras_t2i.errors import first_line
from keras_t2i.files import atomic_write
from keras_t2i.files import check_checksums
from keras_t2i.files import write_checksums
from keras_t2i.reading import check_hdf5_heaps
from keras_t2i.reading import open_file
from keras_t2i.reading import parse_json
from keras_t2i.reading import read_file
from keras_t2i.reading import read_json
from keras_t2i.types import StrPath

# The names that Keras gives the parts of a file. A folder has them too.
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
# What a run folder has in place of these two.
_MODEL_OF_RUN = "model.keras"
# A thousand times that of the largest model of this library.
_MAX_CONFIG_BYTES = 2**24
_MAX_FILE_BYTES = 2**36
# Weights that were trained pack to nearly their size; zeros to a thousandth.
_MAX_RATIO = 32
# Where Keras finds what a model is made of.
_MODULES_OF_CLASSES = {
    *("keras", "keras.constraints", "keras.dtype_policies"),
    *("keras.initializers", "keras.layers", "keras.losses", "keras.metrics"),
    *("keras.optimizers", "keras.optimizers.schedules", "keras.regularizers"),
    *("keras.src.models.functional", "keras.src.models.sequential"),
}
# It loads a SavedModel, which Keras 3.12.0 lets it do.
_LAYER_OF_A_FILE = "TFSMLayer"
_OPERATIONS = "keras.src.ops."
_MODULES_OF_FUNCTIONS = {
    # What Keras means by it is one of the others here.
    "builtins",
    *("keras.activations", "keras.constraints", "keras.initializers"),
    *("keras.losses", "keras.metrics", "keras.regularizers"),
}
# Values for which JSON has no form.
_ARRAYS = {"__numpy__", "__tensor__"}
_VALUES = _ARRAYS | {
    *("__bytes__", "__ellipsis__", "__keras_tensor__", "__slice__"),
    "__tuple__",
    # Code, which safe mode refuses.
    "__lambda__",
}
_NUMBERS = re.compile(r"bool|(b?float|u?int)\d+")


def load_keras_file(path: StrPath, compile: bool = False) -> keras.Model:
    """Loads the model of a `.keras` file; nothing in the file is executed.

    With `compile`, the model is compiled as it was when it was saved. Raises
    `ValueError` if the file is of another kind or holds more than layers and
    their weights, `OSError` if it cannot be read. Keras raises other errors for
    files that are damaged.
    """
    with open_file(path, _MAX_FILE_BYTES) as file:
        size = os.fstat(file.fileno()).st_size
        # Keras has readers of other formats, without these checks.
        if pathlib.Path(path).suffix != ".keras":
            raise ValueError("its name does not end in .keras")
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            # Keras packs nothing, but others may have done so.
            if unpacked > _MAX_RATIO * size:
                raise ValueError(
                    f"it would become {unpacked / size:.0f} times as large"
                )
            config = _part(archive, _CONFIG, _MAX_CONFIG_BYTES)
            weights = _part(archive, _WEIGHTS, unpacked)
    check_config(parse_json(config.decode("utf-8")))
    check_weights(weights)
    return keras.saving.load_model(path, compile=compile)


def _part(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    if name not in archive.namelist():
        raise ValueError(f"it holds no {name}")
    if archive.getinfo(name).file_size > max_bytes:
        raise ValueError(f"its {name} has more than {max_bytes:,} bytes")
    return archive.read(name)


def check_config(config: Any) -> None:
    """Checks that a config of Keras names only what a model is made of.

    `config` is what `keras.saving.serialize_keras_object` returns. Raises
    `ValueError` if it names something else.
    """
    left = [config]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if "class_name" in value and not _is_of_a_model(value):
                named = value.get("config")
                name = named if isinstance(named, str) else value["class_name"]
                raise ValueError(
                    "a model must consist of layers of Keras and of "
                    f"registered classes. Received: {name!r} of "
                    f"{value.get('module')!r}"
                )
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)


def _is_of_a_model(value: dict[str, Any]) -> bool:
    name, module = value["class_name"], value.get("module")
    if not isinstance(name, str):
        return False
    if name in _VALUES:
        # Of a string, a type could give its size.
        return name not in _ARRAYS or _has_numbers(value.get("config"))
    # Without a module, Keras reads it as an older format, by other rules.
    if "module" not in value or name == _LAYER_OF_A_FILE:
        return False
    is_function = name == "function"
    registered = value.get("config" if is_function else "registered_name")
    if (
        isinstance(registered, str)
        and registered in keras.saving.get_custom_objects()
    ):
        return True
    if is_function:
        name = value.get("config")
    # A name with dots would be that of another module.
    if not (isinstance(module, str) and str(name).isidentifier()):
        return False
    if is_function:
        return module in _MODULES_OF_FUNCTIONS
    return module in _MODULES_OF_CLASSES or module.startswith(_OPERATIONS)


def _has_numbers(config: Any) -> bool:
    dtype = config.get("dtype") if isinstance(config, dict) else None
    return isinstance(dtype, str) and bool(_NUMBERS.fullmatch(dtype))


def check_weights(content: bytes) -> None:
    """Checks that all weights of an HDF5 file are in it, and can be read.

    Raises `ValueError` if some weights are in other files or made of fewer
    bytes, `OSError` if the content is no HDF5 file.
    """
    check_hdf5_heaps(content)
    with h5py.File(io.BytesIO(content), "r") as weights:
        left = weights.id.get_filesize()

        def wrong_link(name: str, link: Any) -> str | None:
            is_here = isinstance(link, h5py.HardLink)
            return None if is_here else f"{name!r} is elsewhere"

        def wrong_array(name: str, item: Any) -> str | None:
            nonlocal left
            if not isinstance(item, h5py.Dataset):
                return None
            if item.external or item.is_virtual:
                return f"{name!r} is elsewhere"
            left -= item.nbytes
            return None if left >= 0 else f"{name!r} has more bytes than it"

        # Not all versions of Keras look at all of this.
        wrong = weights.visititems_links(wrong_link)
        wrong = wrong or weights.visititems(wrong_array)
    if wrong:
        raise ValueError(f"all weights must be in the file. Received: {wrong}")


def is_folder(path: StrPath) -> bool:
    """Whether a path leads to a folder."""
    return pathlib.Path(path).is_dir()


def preset_weights(path: StrPath) -> pathlib.Path:
    """Returns the file of weights of a folder of `save_preset_folder`."""
    return pathlib.Path(path) / _WEIGHTS


def save_preset_folder(model: keras.Model, path: StrPath) -> None:
    """Writes a model's config and weights.

    Keras also writes the state of a compiled model's optimizers, which loading
    leaves out.

    The model is one of this library. The folder may exist, and may hold a model
    that was saved in this way. Raises `ValueError` if it holds another one,
    such as that of a run, and `OSError` if a file cannot be written.
    """
    path = pathlib.Path(path)
    of_others = [path / _MODEL_OF_RUN]
    if not preset_weights(path).exists():
        of_others.append(path / _CONFIG)
    for file in of_others:
        if file.exists():
            raise ValueError(
                "A folder to save to must be new, or one that `save_to_preset` "
                f"has written. Received: {str(path)!r}, which holds "
                f"{file.name}, as the folder of a run does. Name another one."
            )
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

    Nothing in the folder is executed. The folder is one from
    `save_preset_folder`, or a run folder with a `model.keras`. Raises
    `ValueError` if it is neither, or its files are damaged.
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
        check_weights(read_file(preset_weights(path), _MAX_FILE_BYTES))
        model = keras.saving.deserialize_keras_object(config)
        model.load_weights(preset_weights(path))
    except Exception as error:
        # Keras raises errors of many kinds for files that are damaged.
        raise ValueError(
            "A folder to load from must hold a model that this library has "
            f"saved. Received: {str(path)!r}, which cannot be loaded: "
            f"{first_line(error)}"
        ) from error
    return model
