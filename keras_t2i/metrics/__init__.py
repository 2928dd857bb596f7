"""Measures of what a model draws, and of what embeddings and pictures hold."""

from keras_t2i.metrics.bloom_attributes import bloom_attribute_accuracy
from keras_t2i.metrics.distances import frechet_distance
from keras_t2i.metrics.distances import kernel_distance
from keras_t2i.metrics.embedding_probes import interpolation_premise
from keras_t2i.metrics.embedding_probes import linear_probe_accuracy
from keras_t2i.metrics.nearest_training import nearest_training_images
from keras_t2i.metrics.nearest_training import nearest_training_ratio
from keras_t2i.metrics.neighborhoods import density_coverage
from keras_t2i.metrics.neighborhoods import precision_recall
from keras_t2i.metrics.periodic_patterns import grain
from keras_t2i.metrics.retrieval import caption_recall
from keras_t2i.metrics.retrieval import class_means
from keras_t2i.metrics.retrieval import r_precision
from keras_t2i.metrics.retrieval import retrieval_precision
from keras_t2i.metrics.retrieval import zero_shot_accuracy
from keras_t2i.metrics.style_separation import RocCurve
from keras_t2i.metrics.style_separation import background_colors
from keras_t2i.metrics.style_separation import style_clusters
from keras_t2i.metrics.style_separation import style_verification
from keras_t2i.metrics.variety import diversity
from keras_t2i.metrics.variety import diversity_within_captions

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
