"""SavedModels for TensorFlow Serving: exporting, serving, asking for images."""

from keras_t2i.errors import ServerError
from keras_t2i.export.client import Client
from keras_t2i.export.model_server import ModelServer
from keras_t2i.export.saved_model import export_saved_model

__all__ = ["Client", "ModelServer", "ServerError", "export_saved_model"]
