"""The folder of a model: a sub-folder for each of its versions."""

import os
import pathlib

_LARGEST_VERSION = 2**63 - 1


def versions(path: str | os.PathLike) -> list[int]:
    """Returns the versions in a model's folder, in rising order.

    Args:
        path: path of the folder. It need not be there.

    Returns:
        List of ints.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        return []
    return sorted(
        int(folder.name)
        for folder in path.iterdir()
        # What has another name is not looked at by TensorFlow Serving either.
        if folder.name.isascii()
        and folder.name.isdigit()
        and (folder / "saved_model.pb").is_file()
    )


def next_version(path: str | os.PathLike) -> int:
    """Returns the version after the highest one, 1 where there is none."""
    return max(versions(path), default=0) + 1


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
