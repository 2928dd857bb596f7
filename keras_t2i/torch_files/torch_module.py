"""A network in a .t7 file as modules, whose arrays are checked when read."""

import math

import numpy as np

from keras_t2i.formats.t7 import Table
from keras_t2i.formats.t7 import TorchObject
from keras_t2i.formats.t7 import read_t7
from keras_t2i.types import StrPath

# The largest published container, a recurrence, has 344 modules, which are in
# five others at most. The limits are for modules that hold themselves.
_MAX_MODULES = 1000
_MAX_NESTING = 20


def read_network(path: StrPath, *keys: str) -> "TorchModule":
    """Reads the network of a .t7 file.

    If the file holds a table, `keys` say where in it the network is. Raises
    `ValueError` if the file cannot be read or has no network there, `OSError`
    if it cannot be opened.
    """
    value = read_t7(path)
    where = str(path)
    if isinstance(value, Table):
        for key in keys:
            where = f"{where}: {key}"
            value = (
                value.get(key.encode()) if isinstance(value, Table) else None
            )
    return TorchModule(value, where)


class TorchModule:
    """A module of a network: what kind it is, what it holds, its arrays.

    `where`, the file and the module's place in it, is for messages. `kind` is
    the class without its package, such as `"Linear"`; the classes of the
    packages nn and cudnn are the same.
    """

    def __init__(self, value: object, where: str):
        if not isinstance(value, TorchObject):
            raise ValueError(
                f"Expected a module of a Torch network at {where}. Received: "
                f"{type(value).__name__}. Pass the .t7 file of the network."
            )
        package, _, name = value.class_name.rpartition(".")
        if package in ("nn", "cudnn"):
            # The same convolution, with a matrix as weight.
            self.kind = name.removesuffix("MM")
        else:
            self.kind = value.class_name
        self.where = f"{where} ({self.kind[:40]})"
        self._fields = value.fields

    def modules(self) -> list["TorchModule"]:
        """The modules that a container holds, in order."""
        modules = self._fields.get(b"modules")
        if not isinstance(modules, Table) or len(modules) > _MAX_MODULES:
            raise ValueError(
                f"Expected a container of at most {_MAX_MODULES} modules at "
                f"{self.where}. Received: {type(modules).__name__}."
            )
        return [
            TorchModule(modules.get(index), f"{self.where}, module {index}")
            for index in range(1, len(modules) + 1)
        ]

    def leaves(self) -> list["TorchModule"]:
        """All modules inside that are no containers, depth first."""
        leaves: list[TorchModule] = []
        waiting = [(self, 0)]
        for _ in range(_MAX_MODULES):
            if not waiting:
                return leaves
            module, depth = waiting.pop()
            if b"modules" not in module._fields:
                leaves.append(module)
                continue
            if depth == _MAX_NESTING:
                break
            waiting.extend(
                (inner, depth + 1) for inner in reversed(module.modules())
            )
            # A module that holds itself often would take gigabytes otherwise.
            if len(waiting) + len(leaves) > _MAX_MODULES:
                break
        raise ValueError(
            f"Expected at most {_MAX_MODULES} modules in {self.where}, each "
            f"inside of at most {_MAX_NESTING} others. Received: more, or a "
            "module that holds itself."
        )

    def size(self, name: str, axis: int) -> int:
        """The size of an array along an axis."""
        array = self._array(name)
        if array.ndim <= axis:
            raise ValueError(
                f"Expected `{name}` to have an axis {axis} at {self.where}. "
                f"Received: shape {array.shape}."
            )
        return array.shape[axis]

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """An array of finite floating point numbers of the given shape.

        A matrix of as many rows and numbers is given that shape.
        """
        array = self._array(name)
        if array.shape == (shape[0], math.prod(shape[1:])):
            array = array.reshape(shape)
        if array.shape != shape:
            raise ValueError(
                f"Expected `{name}` to have the shape {shape} at {self.where}. "
                f"Received: {array.shape}. The network is none of those that "
                "Reed et al. (2016) published."
            )
        if not np.isfinite(array).all():
            raise ValueError(
                f"Expected finite numbers as `{name}` at {self.where}. "
                "Received: NaN or infinity. The training has diverged, or the "
                "file is damaged: get another one."
            )
        return array

    def has(self, name: str) -> bool:
        """Whether there is a field of that name."""
        return name.encode() in self._fields

    def number(self, name: str) -> float:
        """A field that is a number."""
        number = self._fields.get(name.encode())
        if not isinstance(number, float):
            raise ValueError(
                f"Expected a number `{name}` at {self.where}. Received: "
                f"{type(number).__name__}."
            )
        return number

    def _array(self, name: str) -> np.ndarray:
        array = self._fields.get(name.encode())
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise ValueError(
                f"Expected an array `{name}` of floating point numbers at "
                f"{self.where}. Received: {type(array).__name__} "
                f"{getattr(array, 'dtype', '')}."
            )
        return array


def check_kinds(
    modules: list[TorchModule], kinds: list[str], what: str
) -> None:
    """Raises `ValueError` unless the modules are of these kinds, in order.

    The message says that they are the modules of `what`.
    """
    for index, kind in enumerate(kinds):
        received = modules[index].where if index < len(modules) else "no more"
        if index >= len(modules) or modules[index].kind != kind:
            raise ValueError(
                f"Expected {kind} as module {index + 1} of {len(kinds)} of "
                f"{what}, as Reed et al. (2016) published it. Received: "
                f"{received}."
            )
    if len(modules) > len(kinds):
        raise ValueError(
            f"Expected {len(kinds)} modules of {what}, as Reed et al. (2016) "
            f"published it. Received: one more, {modules[len(kinds)].where}."
        )
