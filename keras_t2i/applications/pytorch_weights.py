"""Reads the published weights of PyTorch networks, without PyTorch."""

import hashlib
import io
import pathlib
import pickle
from typing import Any

import numpy as np

from keras_t2i.types import StrPath

_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def read_pytorch_weights(path: StrPath, sha256: str) -> dict[str, np.ndarray]:
    """Reads a `state_dict` in PyTorch's file format before version 1.6.

    The file is a sequence of pickles, followed by the numbers. It is unpickled
    only if it is the published one, of digest `sha256`, and no class or
    function that it names is looked up. Its arrays are float32 or int64. Raises
    `ValueError` if it is another file, `OSError` if it cannot be read.
    """
    data = pathlib.Path(path).read_bytes()
    check_published(data, sha256, path)
    file = io.BytesIO(data)
    # The first ones are a number, a version and sizes of the writer's machine.
    *_, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    kinds = {key: kind for (kind, key), *_ in tensors.values()}
    storages = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(
            data, _STORAGES[kinds[key]], count, file.tell()
        )
        file.seek(storages[key].nbytes, io.SEEK_CUR)
    return {
        name: np.lib.stride_tricks.as_strided(
            storages[key][offset:],
            shape,
            [stride * storages[key].itemsize for stride in strides],
        ).copy()
        for name, ((_, key), offset, shape, strides) in tensors.items()
    }


def check_published(data: bytes, sha256: str, path: StrPath) -> None:
    """Raises `ValueError` if a file is not the published one."""
    received = hashlib.sha256(data).hexdigest()
    if received != sha256:
        raise ValueError(
            f"{path} must be the published file, of SHA-256 {sha256}. "
            f"Received: {received}. Install the package again."
        )


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Returns what stands for one of four names; refuses all others."""
        if (module, name) == ("collections", "OrderedDict"):
            return _Dict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            # Storage, offset, shape and strides.
            return lambda *arguments: arguments[:4]
        if module == "torch" and name in _STORAGES:
            return name
        raise ValueError(f"The file names {module}.{name}.")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        """Returns the kind and the key of a storage."""
        _, kind, key, *_ = pid
        return kind, key


class _Dict(dict):
    def __setstate__(self, state: Any) -> None:
        """Leaves out what PyTorch notes of the modules."""
