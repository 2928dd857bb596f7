"""Named settings: how each differs from the defaults of its recipe."""

import functools
import importlib.resources
import json
from typing import Any


@functools.cache
def presets(kind: str) -> dict[str, dict[str, Any]]:
    """Returns all presets of one kind, `"gan"` or `"text_encoder"`, by name.

    Each is a dict of its `description` and of the fields of a recipe that
    differ from their defaults.
    """
    folder = importlib.resources.files(__package__)
    known = json.loads((folder / f"{kind}.json").read_text("utf-8"))

    def with_base(name: str) -> dict[str, Any]:
        values = dict(known[name])
        base = values.pop("base", None)
        return values if base is None else {**with_base(base), **values}

    return {name: with_base(name) for name in known}


def preset(kind: str, name: str) -> dict[str, Any]:
    """Returns a preset; raises `ValueError` if there is none of this name."""
    known = presets(kind)
    if name not in known:
        raise ValueError(
            f"A preset must be one of {', '.join(known)}. Received: {name!r}"
        )
    return known[name]
