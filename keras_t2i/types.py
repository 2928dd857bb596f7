"""Names for types that annotations use."""

import os
from typing import Any
from typing import TypeAlias

# TensorFlow and Keras ship no types: these names say more than mypy checks.
Tensor: TypeAlias = Any
StrPath: TypeAlias = str | os.PathLike[str]
