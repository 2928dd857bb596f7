"""SavedModels for TensorFlow Serving: exporting, serving, asking for images.

Only what serves them is imported at once: it does without TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

from keras_t2i.errors import ServerError
from keras_t2i.export.model_server import ModelServer

if TYPE_CHECKING:
    from keras_t2i.export.client import Client
    from keras_t2i.export.saved_model import export_saved_model

_MODULE_OF = {"Client": "client", "export_saved_model": "saved_model"}

__all__ = ["Client", "ModelServer", "ServerError", "export_saved_model"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULE_OF[name]}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
