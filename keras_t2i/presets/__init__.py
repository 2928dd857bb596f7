"""Named settings, as JSON: `model` for the library, `training` for the CLI."""

import functools
import hashlib
import importlib.resources
import io
import json

import numpy as np


@functools.cache
def presets(kind):
    """Returns all presets of one kind.

    Args:
        kind: string. `"gan"` or `"text_encoder"`.

    Returns:
        dict of names to presets, each a dict with `description`, `model` and
        `training`.
    """
    folder = importlib.resources.files(__name__) / kind
    return {
        file.name.removesuffix(".json"): json.loads(file.read_text("utf-8"))
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".json")
    }


def preset(kind, name):
    """Returns one preset.

    Raises:
        ValueError: there is none of this name.
    """
    known = presets(kind)
    if name not in known:
        raise ValueError(
            f"A preset must be one of {', '.join(known)}. Received: {name!r}"
        )
    return known[name]


def preset_weights(kind, name):
    """Returns the weights that a preset has in the package.

    Args:
        kind: string, as in `preset`.
        name: string. A preset with `weights_sha256`.

    Returns:
        dict of the names of networks to lists of float32 arrays.

    Raises:
        ValueError: the file is missing or damaged.
    """
    path = importlib.resources.files(__name__) / "weights" / f"{name}.npz"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"The preset {name!r} needs its weights, which come with the "
            f"package. Received: {error}. Install the package again."
        ) from None
    expected = preset(kind, name)["weights_sha256"]
    received = hashlib.sha256(data).hexdigest()
    if received != expected:
        raise ValueError(
            f"The weights of the preset {name!r} must have the SHA-256 "
            f"{expected}. Received: {received}. Install the package again."
        )
    weights = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        for key in sorted(file):
            network = key.partition("/")[0]
            weights.setdefault(network, []).append(file[key].astype("float32"))
    return weights
