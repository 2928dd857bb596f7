"""Measures of what a model draws."""

from keras_t2i.metrics.bloom_attribute_accuracy import bloom_attribute_accuracy
from keras_t2i.metrics.diversity import diversity

__all__ = ["bloom_attribute_accuracy", "diversity"]
