"""Measures of what a model draws, and of what is found in pictures."""

from keras_t2i.metrics.background_colors import background_colors
from keras_t2i.metrics.bloom_attribute_accuracy import bloom_attribute_accuracy
from keras_t2i.metrics.diversity import diversity
from keras_t2i.metrics.style_clusters import style_clusters
from keras_t2i.metrics.style_verification import RocCurve
from keras_t2i.metrics.style_verification import style_verification

__all__ = [
    "RocCurve",
    "background_colors",
    "bloom_attribute_accuracy",
    "diversity",
    "style_clusters",
    "style_verification",
]
