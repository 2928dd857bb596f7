"""Callbacks for `fit`."""

from keras_t2i.callbacks.checkpoints import Checkpoints
from keras_t2i.callbacks.checkpoints import KeepBest
from keras_t2i.callbacks.failures import CollapseWarning
from keras_t2i.callbacks.failures import StopOnNaN
from keras_t2i.callbacks.image_grid import ImageGrid
from keras_t2i.callbacks.run_recorder import RunRecorder
from keras_t2i.callbacks.tensorboard_writer import TensorBoardWriter
from keras_t2i.callbacks.training_end import BeginDecay
from keras_t2i.callbacks.training_end import StopAfter

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
