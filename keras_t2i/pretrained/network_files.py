"""Networks in folders of the package: a JSON file and half-precision weights.

Nothing in these files is executed: the weights are arrays, and the JSON names
only classes of this library.
"""

import hashlib
import importlib.resources
import io
import json
import pathlib
from typing import TYPE_CHECKING
from typing import Any
from typing import TypeGuard

from keras_t2i.types import StrPath

if TYPE_CHECKING:
    import keras

_DESCRIPTION = "preset.json"


def pretrained_names() -> tuple[str, ...]:
    """Returns the names of the GANs that come with the package, sorted."""
    return tuple(
        sorted(
            folder.name
            for folder in importlib.resources.files(__package__).iterdir()
            if (folder / _DESCRIPTION).is_file()
            and "recipe" in pretrained_description(folder.name)
        )
    )


def names_with_style_encoder() -> tuple[str, ...]:
    """Returns the names of the GANs that come with a style encoder, sorted."""
    return tuple(
        name
        for name in pretrained_names()
        if pretrained_description(name)["style_encoder"] is not None
    )


def is_pretrained(path: StrPath) -> TypeGuard[str]:
    """Whether a path names a GAN that comes with the package.

    A file or folder of that name takes precedence.
    """
    return path in pretrained_names() and not pathlib.Path(path).exists()


def pretrained_description(name: str) -> dict[str, Any]:
    """Returns the description of the networks in a folder.

    It has a `description` and `files`, names to SHA-256 digests. That of a GAN
    also has its `recipe`, the name of its `text_encoder`'s folder, the config
    of its `style_encoder`, or `None`, and its `evaluation`; that of a text
    encoder has its `config`.
    """
    file = importlib.resources.files(__package__) / name / _DESCRIPTION
    return json.loads(file.read_text("utf-8"))


def pretrained_text_encoder(name: str) -> "keras.Model":
    """Returns the text encoder of a GAN that comes with the package."""
    folder = pretrained_description(name)["text_encoder"]
    config = pretrained_description(folder)["config"]
    return _network(config, folder, "weights.npz")


def pretrained_style_encoder(name: str) -> "keras.Model":
    """Returns the style encoder of a GAN that comes with the package.

    Raises `ValueError` if there is no such GAN, it comes without a style
    encoder, or the file is damaged.
    """
    known = names_with_style_encoder()
    if name not in known:
        raise ValueError(
            f"A style encoder comes with {', '.join(known)}. Received: "
            f"{name!r}. Train one by `keras-t2i train-style`, and load its run."
        )
    config = pretrained_description(name)["style_encoder"]
    return _network(config, name, "style_encoder.npz")


def _network(config: dict[str, Any], name: str, file: str) -> "keras.Model":
    import keras

    network = keras.saving.deserialize_keras_object(config)
    load_pretrained_weights(network, name, file)
    return network


def pretrained_size(name: str) -> int:
    """Returns the bytes of the files of a GAN and of its text encoder."""
    package = importlib.resources.files(__package__)
    description = pretrained_description(name)
    return sum(
        len((package / folder / file).read_bytes())
        for folder in (name, description["text_encoder"])
        for file in pretrained_description(folder)["files"]
    )


def load_pretrained_weights(
    network: "keras.Model", name: str, file: str
) -> None:
    """Sets the weights of a network to those of `file` in the folder `name`.

    The network is like the one whose weights were saved. Raises `ValueError` if
    the file is missing or not the one that was shipped, or the network has
    weights of other shapes.
    """
    import numpy as np

    path = importlib.resources.files(__package__) / name / file
    digests = pretrained_description(name)["files"]
    if file not in digests:
        raise ValueError(
            f"{name} must have the file {file}. Received: it has "
            f"{', '.join(sorted(digests))}."
        )
    data = path.read_bytes() if path.is_file() else b""
    received = hashlib.sha256(data).hexdigest()
    if received != digests[file]:
        raise ValueError(
            f"{path} must be the file of the package, of SHA-256 "
            f"{digests[file]}. Received: {received}. Install the package again."
        )
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        values = [arrays[key] for key in sorted(arrays.files)]
    shapes = [value.shape for value in values]
    expected = [tuple(weight.shape) for weight in network.weights]
    if shapes != expected:
        raise ValueError(
            f"{name} must have weights of the shapes {expected}. Received: "
            f"{shapes}. Leave out what changes the networks, or begin with a "
            "preset without weights."
        )
    network.set_weights([value.astype("float32") for value in values])
