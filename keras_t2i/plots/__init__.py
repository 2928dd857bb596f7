"""Figures: each function returns a matplotlib figure."""

from keras_t2i.plots.image_grid import image_grid
from keras_t2i.plots.training_curves import training_curves

__all__ = ["image_grid", "training_curves"]
