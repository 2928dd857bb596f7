"""Callbacks for `fit`."""

from keras_t2i.callbacks.begin_decay import BeginDecay
from keras_t2i.callbacks.checkpoints import Checkpoints
from keras_t2i.callbacks.collapse_warning import CollapseWarning
from keras_t2i.callbacks.image_grid import ImageGrid
from keras_t2i.callbacks.keep_best import KeepBest
from keras_t2i.callbacks.run_recorder import RunRecorder
from keras_t2i.callbacks.stop_after import StopAfter
from keras_t2i.callbacks.stop_on_nan import StopOnNaN

__all__ = [
    "BeginDecay",
    "Checkpoints",
    "CollapseWarning",
    "ImageGrid",
    "KeepBest",
    "RunRecorder",
    "StopAfter",
    "StopOnNaN",
]
