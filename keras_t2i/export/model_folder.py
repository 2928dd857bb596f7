"""The folder of a model: a sub-folder for each of its versions."""

import os
import pathlib
import re

SAVED_MODEL_FILE = "saved_model.pb"
# It is a part of URLs.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LARGEST_VERSION = 2**63 - 1


def check_name(name: str) -> None:
    """Raises `ValueError` where no model can be served by a folder's name."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            "The name of a model's folder is that which the model is served "
            "by; it must begin with a letter or digit and consist of letters, "
            f"digits, '.', '_' and '-'. Received: {name!r}. Give the folder "
            "another name."
        )


def versions(path: str | os.PathLike) -> list[int]:
    """Returns the versions in a model's folder, in rising order.

    Args:
        path: path of the folder. It need not be there.

    Returns:
        List of ints.
    """
    return sorted(
        int(entry.name)
        for entry in _numbered(path)
        if (entry / SAVED_MODEL_FILE).is_file()
    )


def newest_entry(path: str | os.PathLike) -> pathlib.Path | None:
    """Returns what a server takes for a model's newest version.

    Args:
        path: path of the model's folder. It need not be there.

    Returns:
        `pathlib.Path` of what has the highest number, which need not be a
        whole SavedModel, or `None`.
    """
    return max(_numbered(path), key=lambda entry: int(entry.name), default=None)


def next_version(path: str | os.PathLike) -> int:
    """Returns the version after all that is there, 1 where there is none."""
    newest = newest_entry(path)
    return 1 if newest is None else int(newest.name) + 1


def version_folder(path: str | os.PathLike, version: int) -> pathlib.Path:
    """Returns the folder of a version.

    Args:
        path: path of the model's folder.
        version: int.

    Raises:
        ValueError: there can not be such a version.
    """
    whole = isinstance(version, int) and not isinstance(version, bool)
    if not whole or not 1 <= version <= _LARGEST_VERSION:
        raise ValueError(
            "`version` must be a whole number of at least 1, of 64 bits. "
            f"Received: {version!r}"
        )
    return pathlib.Path(path) / str(version)


def _numbered(path):
    path = pathlib.Path(path)
    if not path.is_dir():
        return []
    # What has another name is not looked at by TensorFlow Serving either.
    return [
        entry
        for entry in path.iterdir()
        if entry.name.isascii() and entry.name.isdigit()
    ]
