"""Measures that are quick enough to repeat while a model is trained."""

import warnings

import numpy as np

from keras_t2i import metrics
from keras_t2i.applications.feature_extraction import extract_image_features
from keras_t2i.datasets.examples import ImageFeatures
from keras_t2i.evaluation.generated_images import EvaluationCaptions
from keras_t2i.evaluation.generated_images import ImageModel
from keras_t2i.evaluation.generated_images import ModelImages
from keras_t2i.evaluation.generated_images import ShowProgress
from keras_t2i.evaluation.generated_images import image_batches
from keras_t2i.evaluation.generated_images import show_nothing
from keras_t2i.evaluation.judge import Judge
from keras_t2i.evaluation.judge import check_independence
from keras_t2i.recipes.recipe import MEASURES

FEWEST_IMAGES = 50
# What to do about too few of a kind.
_REMEDIES = {
    "real": "Name a larger split, or prepare more images. The split `train` "
    "measures what a model has been trained on.",
    "generated": "Generate more.",
}


def check_num_images(what: str, count: int) -> None:
    """Raises `ValueError` if there are fewer than 50 images.

    `what` is `"real"` or `"generated"`.
    """
    if count < FEWEST_IMAGES:
        raise ValueError(
            f"An evaluation needs at least {FEWEST_IMAGES} {what} images. "
            f"Received: {count}. {_REMEDIES[what]}"
        )


def feature_distances(
    real_features: np.ndarray, generated_features: np.ndarray
) -> dict[str, float]:
    """Compares two sets of features, by all measures of `metrics` that do so.

    The arrays have the shapes `(num_real_images, num_features)` and
    `(num_generated_images, num_features)`.
    """
    both = (real_features, generated_features)
    kernel_mean, kernel_deviation = metrics.kernel_distance(*both)
    precision, recall = metrics.precision_recall(*both)
    density, coverage = metrics.density_coverage(*both)
    return {
        "frechet_distance": metrics.frechet_distance(*both),
        "kernel_distance": kernel_mean,
        "kernel_distance_std": kernel_deviation,
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
    }


class QuickEvaluation:
    """Measures generated images by their features alone.

    The features of the real images are computed once and kept beside the data
    set. A measurement then only generates one image per caption and computes
    its features. The values are those of `evaluate_images` with one image per
    caption.

    Args:
        captions: `EvaluationCaptions` of the split to compare with.
        judge: `Judge`.
        image_size: int. Side of the generated images in pixels.
        show_progress: as in `evaluate_images`. Defaults to `None`.

    Attributes:
        features_path: path. Folder of the judge's features of the data set.
        real_features: float32 array of shape
            `(num_real_images, num_features)`.

    Raises:
        ValueError: there are fewer than 50 real images, or the data set is
            damaged.
        OSError: the features cannot be written.

    Example:

    >>> from keras_t2i.datasets.blooms_source import BloomsSource
    >>> from keras_t2i.datasets.preparation import prepare
    >>> from keras_t2i.evaluation import EvaluationCaptions
    >>> gan = keras_t2i.TextToImageGAN.from_preset(
    ...     "gan_int_cls",
    ...     image_size=32,
    ...     width=4,
    ...     text_encoder=keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16),
    ... )
    >>> network = keras.Sequential(
    ...     [keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 4, 4)]
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = prepare(BloomsSource(num_images=600), folder, image_size=32)
    ...     evaluation = keras_t2i.evaluation.QuickEvaluation(
    ...         EvaluationCaptions(folder, "val"),
    ...         keras_t2i.evaluation.Judge(network),
    ...         gan.image_size,
    ...     )
    >>> sorted(evaluation.measure(gan))[:3]
    ['coverage', 'density', 'frechet_distance']
    """

    def __init__(
        self,
        captions: EvaluationCaptions,
        judge: Judge,
        image_size: int,
        show_progress: ShowProgress | None = None,
    ):
        check_num_images("real", len(captions))
        self.captions = captions
        self.judge = judge
        self.image_size = image_size
        show_progress = show_progress or show_nothing
        with show_progress(
            "Computing features of the data", "images"
        ) as progress:
            self.features_path = extract_image_features(
                judge.network,
                captions.path,
                judge.image_size,
                progress=progress,
                model_image_size=image_size,
                network_sha256=judge.sha256,
            )
        self.real_features = self.features_of(captions.split)

    def features_of(self, split: str) -> np.ndarray:
        """Returns the features of the real images of a split.

        They are float32, of shape `(num_images, num_features)`.
        """
        features = ImageFeatures(self.features_path, self.captions.path, split)
        return features.first_views()

    def measure(self, model: ImageModel) -> dict[str, float]:
        """Generates one image per caption, and measures them.

        Args:
            model: anything with `generate(captions, seed)`, as in
                `ModelImages`. A `TextToImageGAN` generates with the exponential
                moving average of its generator.

        Returns:
            dict of `kernel_distance` and `frechet_distance` (lower is better),
            `precision`, `recall`, `density` and `coverage` (higher is better).

        Raises:
            ValueError: the images have another size, the judge has trained the
                model, or the model has diverged.
        """
        images = ModelImages(model, self.captions)
        if images.image_size != self.image_size:
            raise ValueError(
                f"The model must generate images of {self.image_size} pixels, "
                "the `image_size` of this `QuickEvaluation`. Received: "
                f"{images.image_size} pixels. Make one of that size."
            )
        check_independence(images, self.judge)
        features = np.concatenate(
            [
                self.judge.features(batch)
                for _, batch in image_batches(images.read, len(images.indices))
            ]
        )
        with warnings.catch_warnings():
            # That few images make the Frechet distance too large: the bias is
            # the same each time.
            warnings.simplefilter("ignore", UserWarning)
            distances = feature_distances(self.real_features, features)
        return {name: distances[name] for name in MEASURES}
