"""Callbacks for `fit`."""

from keras_t2i.callbacks.checkpoints import Checkpoints
from keras_t2i.callbacks.image_grid import ImageGrid
from keras_t2i.callbacks.run_recorder import RunRecorder
from keras_t2i.callbacks.stop_after import StopAfter

__all__ = ["Checkpoints", "ImageGrid", "RunRecorder", "StopAfter"]
