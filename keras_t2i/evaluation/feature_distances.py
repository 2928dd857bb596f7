"""The measures that need nothing but the features of two sets of images."""

import numpy as np

from keras_t2i.metrics.density_coverage import density_coverage
from keras_t2i.metrics.frechet_distance import frechet_distance
from keras_t2i.metrics.kernel_distance import kernel_distance
from keras_t2i.metrics.precision_recall import precision_recall

FEWEST_IMAGES = 50


def check_num_images(what: str, count: int, remedy: str) -> None:
    """Raises `ValueError` where there are too few images to measure.

    Args:
        what: string. `"real"` or `"generated"`.
        count: int. How many there are.
        remedy: string. What to do about it, a sentence.

    Raises:
        ValueError: there are fewer than 50.
    """
    if count < FEWEST_IMAGES:
        raise ValueError(
            f"An evaluation needs at least {FEWEST_IMAGES} {what} images. "
            f"Received: {count}. {remedy}"
        )


def feature_distances(
    real_features: np.ndarray, generated_features: np.ndarray
) -> dict[str, float]:
    """Compares two sets of features.

    Args:
        real_features: array of shape `(num_real_images, num_features)`.
        generated_features: array of shape
            `(num_generated_images, num_features)`.

    Returns:
        dict of `frechet_distance`, `kernel_distance`, `kernel_distance_std`,
        `precision`, `recall`, `density` and `coverage`.
    """
    both = (real_features, generated_features)
    kernel_mean, kernel_deviation = kernel_distance(*both)
    precision, recall = precision_recall(*both)
    density, coverage = density_coverage(*both)
    return {
        "frechet_distance": frechet_distance(*both),
        "kernel_distance": kernel_mean,
        "kernel_distance_std": kernel_deviation,
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
    }
