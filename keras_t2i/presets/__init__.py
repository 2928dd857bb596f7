"""Named settings, as JSON: `model` for the library, `training` for the CLI."""

import functools
import importlib.resources
import json


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
