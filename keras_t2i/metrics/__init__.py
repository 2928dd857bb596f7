"""Measures of generated images, and of what embeddings hold."""

from keras_t2i.metrics.distances import diversity_within_captions
from keras_t2i.metrics.distances import frechet_distance
from keras_t2i.metrics.distances import kernel_distance
from keras_t2i.metrics.embedding_measures import caption_recall
from keras_t2i.metrics.embedding_measures import class_means
from keras_t2i.metrics.embedding_measures import interpolation_premise
from keras_t2i.metrics.embedding_measures import linear_probe_accuracy
from keras_t2i.metrics.embedding_measures import r_precision
from keras_t2i.metrics.embedding_measures import retrieval_precision
from keras_t2i.metrics.embedding_measures import zero_shot_accuracy
from keras_t2i.metrics.neighbors import density_coverage
from keras_t2i.metrics.neighbors import nearest_training_images
from keras_t2i.metrics.neighbors import nearest_training_ratio
from keras_t2i.metrics.neighbors import precision_recall
from keras_t2i.metrics.pixel_measures import background_colors
from keras_t2i.metrics.pixel_measures import bloom_attribute_accuracy
from keras_t2i.metrics.pixel_measures import diversity
from keras_t2i.metrics.pixel_measures import grain
from keras_t2i.metrics.style_separation import RocCurve
from keras_t2i.metrics.style_separation import style_clusters
from keras_t2i.metrics.style_separation import style_verification

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
