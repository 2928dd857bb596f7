"""Figures: all but `animated_gif` return a matplotlib figure."""

from keras_t2i.plots.animated_gif import animated_gif
from keras_t2i.plots.image_grid import image_grid
from keras_t2i.plots.interpolation_strips import interpolation_strips
from keras_t2i.plots.roc_curves import roc_curves
from keras_t2i.plots.training_curves import training_curves
from keras_t2i.plots.transfer_grid import transfer_grid
from keras_t2i.plots.variant_comparison import variant_comparison

__all__ = [
    "animated_gif",
    "image_grid",
    "interpolation_strips",
    "roc_curves",
    "training_curves",
    "transfer_grid",
    "variant_comparison",
]
