"""Measures of what a model draws, and of what embeddings and pictures hold."""

from keras_t2i.metrics.background_colors import background_colors
from keras_t2i.metrics.bloom_attribute_accuracy import bloom_attribute_accuracy
from keras_t2i.metrics.caption_recall import caption_recall
from keras_t2i.metrics.class_means import class_means
from keras_t2i.metrics.density_coverage import density_coverage
from keras_t2i.metrics.diversity import diversity
from keras_t2i.metrics.diversity_within_captions import (
    diversity_within_captions,
)
from keras_t2i.metrics.frechet_distance import frechet_distance
from keras_t2i.metrics.grain import grain
from keras_t2i.metrics.interpolation_premise import interpolation_premise
from keras_t2i.metrics.kernel_distance import kernel_distance
from keras_t2i.metrics.linear_probe_accuracy import linear_probe_accuracy
from keras_t2i.metrics.nearest_training_images import nearest_training_images
from keras_t2i.metrics.nearest_training_ratio import nearest_training_ratio
from keras_t2i.metrics.precision_recall import precision_recall
from keras_t2i.metrics.r_precision import r_precision
from keras_t2i.metrics.retrieval_precision import retrieval_precision
from keras_t2i.metrics.style_clusters import style_clusters
from keras_t2i.metrics.style_verification import RocCurve
from keras_t2i.metrics.style_verification import style_verification
from keras_t2i.metrics.zero_shot_accuracy import zero_shot_accuracy

__all__ = [
    "RocCurve",
    "background_colors",
    "bloom_attribute_accuracy",
    "caption_recall",
    "class_means",
    "density_coverage",
    "diversity",
    "diversity_within_captions",
    "frechet_distance",
    "grain",
    "interpolation_premise",
    "kernel_distance",
    "linear_probe_accuracy",
    "nearest_training_images",
    "nearest_training_ratio",
    "precision_recall",
    "r_precision",
    "retrieval_precision",
    "style_clusters",
    "style_verification",
    "zero_shot_accuracy",
]
