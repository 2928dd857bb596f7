"""Figures of matplotlib, and animated GIFs."""

from keras_t2i.plots.curves import roc_curves
from keras_t2i.plots.curves import training_curves
from keras_t2i.plots.grids import animated_gif
from keras_t2i.plots.grids import image_grid
from keras_t2i.plots.grids import interpolation_strips
from keras_t2i.plots.grids import transfer_grid
from keras_t2i.plots.grids import variant_comparison

__all__ = [
    "animated_gif",
    "image_grid",
    "interpolation_strips",
    "roc_curves",
    "training_curves",
    "transfer_grid",
    "variant_comparison",
]
