"""SavedModels for TensorFlow Serving: exporting, serving and asking them."""

from keras_t2i.export.saved_model import export_saved_model

__all__ = ["export_saved_model"]
