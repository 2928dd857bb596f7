"""Callbacks for `fit`."""

from keras_t2i.callbacks.checkpoints import Checkpoints
from keras_t2i.callbacks.checkpoints import KeepBest
from keras_t2i.callbacks.recording import CollapseWarning
from keras_t2i.callbacks.recording import ImageGrid
from keras_t2i.callbacks.recording import RunRecorder
from keras_t2i.callbacks.recording import TensorBoardWriter
from keras_t2i.callbacks.stopping import BeginDecay
from keras_t2i.callbacks.stopping import StopAfter
from keras_t2i.callbacks.stopping import StopOnNaN

__all__ = [
    "BeginDecay",
    "Checkpoints",
    "CollapseWarning",
    "ImageGrid",
    "KeepBest",
    "RunRecorder",
    "StopAfter",
    "StopOnNaN",
    "TensorBoardWriter",
]
