"""All measures of generated images, and the same measures of real ones."""

import dataclasses
import platform
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import PIL
import tensorflow as tf

from keras_t2i import metrics
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.evaluation.generated_images import EvaluationCaptions
from keras_t2i.evaluation.generated_images import FolderImages
from keras_t2i.evaluation.generated_images import ModelImages
from keras_t2i.evaluation.generated_images import Progress
from keras_t2i.evaluation.generated_images import ShowProgress
from keras_t2i.evaluation.generated_images import image_batches
from keras_t2i.evaluation.generated_images import seen_by_models
from keras_t2i.evaluation.generated_images import show_nothing
from keras_t2i.evaluation.judge import CaptionMatch
from keras_t2i.evaluation.judge import Judge
from keras_t2i.evaluation.judge import check_independence
from keras_t2i.evaluation.quick_evaluation import QuickEvaluation
from keras_t2i.evaluation.quick_evaluation import check_num_images
from keras_t2i.evaluation.quick_evaluation import feature_distances
from keras_t2i.metrics.pixel_measures import has_grain
from keras_t2i.version import __version__

_NUM_OTHERS = 99
_NUM_NEAREST = 10
_SEED = 0
_ALL_TRAINING = "trainval"
_TRAINING_SPLITS = ("train", "val", _ALL_TRAINING)
_BLOOM_ATTRIBUTES = (
    "petal_color",
    "center_color",
    "petal_shape",
    "petal_count",
)
# Of row numbers to images.
_Read = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `evaluate_images` has measured.

    Attributes:
        results: dict, for JSON. `frechet_distance`, `kernel_distance`,
            `kernel_distance_std`, `precision`, `recall`, `density`,
            `coverage`, `r_precision`, `diversity`, `nearest_training_ratio`
            and `grain`, on `blooms` also `petal_color`, `center_color`,
            `petal_shape` and `petal_count`: floats, or `None` for what is not
            measured. `real`: dict of the same names, of real images. Other
            names say how all of this was measured.
        nearest_images: uint8 array of shape `(num_nearest, 2, size, size, 3)`:
            the ten generated images that are closest to a training image, the
            closest first, each with that image. `None` without training
            images.
        nearest_captions: list of strings. The captions of these ten.
    """

    results: dict[str, Any]
    nearest_images: np.ndarray | None
    nearest_captions: list[str]


def evaluate_images(
    images: ModelImages | FolderImages,
    captions: EvaluationCaptions,
    judge: Judge,
    caption_match: CaptionMatch | None = None,
    show_progress: ShowProgress | None = None,
) -> Evaluation:
    """Measures generated images against all real images of a split.

    Real images are cropped as a model sees them (`model_square`) and resized
    to the size of the generated ones. Both pass the judge in the same way. The
    judge's features of the data set are kept beside it.

    A measure says little alone, so each is also taken of real images:
    `frechet_distance`, `kernel_distance`, `precision`, `recall`, `density` and
    `coverage` of a random half of them against the other half;
    `nearest_training_ratio` of one half, relative to the other;
    `r_precision`, `grain` and the attributes of `blooms` of all of them, with
    the captions that images are generated from; `diversity` within classes
    instead of captions.

    `diversity` needs several images per caption, `r_precision` a text encoder
    and classes, and `nearest_training_ratio` a split that was not trained on.

    Args:
        images: `ModelImages` or `FolderImages`.
        captions: `EvaluationCaptions` of the split to compare with.
        judge: `Judge`.
        caption_match: `CaptionMatch`, for `r_precision`. Defaults to `None`: it
            is not measured.
        show_progress: function of a description and a unit that returns a
            context manager, whose value is a function of the numbers of images
            done and of all images. Defaults to `None`.

    Raises:
        ValueError: there are fewer than 50 images of either kind, a judging
            network has trained the model, there are too few captions of other
            classes for `r_precision`, or the data set is damaged.
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
    ...     captions = EvaluationCaptions(folder, "test")
    ...     evaluation = keras_t2i.evaluation.evaluate_images(
    ...         keras_t2i.evaluation.ModelImages(gan, captions),
    ...         captions,
    ...         keras_t2i.evaluation.Judge(network),
    ...     )
    >>> evaluation.results["num_images"], evaluation.nearest_images.shape
    (60, (10, 2, 32, 32, 3))
    """
    show_progress = show_progress or show_nothing
    manifest = read_manifest(captions.path)
    class_ids = captions.examples.class_ids
    _check_numbers(images, captions, class_ids, caption_match)
    check_independence(images, judge, caption_match)
    if images.image_size > manifest.image_size:
        warnings.warn(
            f"Real images of {manifest.image_size} pixels are enlarged to "
            f"{images.image_size}, the size of the generated ones. Prepare the "
            "data set with that image size.",
            stacklevel=2,
        )
    quick = QuickEvaluation(captions, judge, images.image_size, show_progress)
    real_features = quick.real_features
    training = _training_examples(captions, manifest)

    captions_of_images = [captions.captions[i] for i in images.indices]
    are_blooms = manifest.name == "blooms"
    with show_progress("Measuring generated images", "images") as progress:
        generated = _measure_images(
            judge,
            caption_match,
            are_blooms,
            images.read,
            captions_of_images,
            progress,
        )
    with show_progress("Measuring real images", "images") as progress:
        real = _measure_images(
            judge,
            caption_match,
            are_blooms,
            seen_by_models(captions.examples, images.image_size),
            captions.captions,
            progress,
            real_features,
        )
    embeddings = None
    if caption_match is not None:
        embeddings = caption_match.text_embeddings(captions.captions)
    results: dict[str, Any] = {
        **feature_distances(real_features, generated.features),
        **_caption_measures(
            generated, embeddings, class_ids, images.indices, images.indices
        ),
    }
    order = np.random.default_rng(_SEED).permutation(len(real_features))
    half, other_half = np.array_split(real_features[order], 2)
    with warnings.catch_warnings():
        # Few images: the warning about the whole set has said so.
        warnings.simplefilter("ignore", UserWarning)
        of_halves = feature_distances(half, other_half)
    rows = np.arange(len(captions))
    of_real: dict[str, Any] = {
        **of_halves,
        **_caption_measures(real, embeddings, class_ids, rows, class_ids),
    }
    nearest_images, nearest_captions = None, []
    if training is not None:
        training_features = quick.features_of(_ALL_TRAINING)
        for measures, rows, others in (
            (results, generated.features, real_features),
            (of_real, half, other_half),
        ):
            measures["nearest_training_ratio"] = _unless_impossible(
                metrics.nearest_training_ratio, rows, others, training_features
            )
        found, distances = metrics.nearest_training_images(
            generated.features, training_features
        )
        nearest = np.argsort(distances, kind="stable")[:_NUM_NEAREST]
        neighbors = seen_by_models(training, images.image_size)(found[nearest])
        nearest_images = np.stack([images.read(nearest), neighbors], axis=1)
        nearest_captions = [captions_of_images[row] for row in nearest]
    results.update(
        real=of_real,
        network=judge.name,
        network_sha256=judge.sha256,
        network_image_size=judge.image_size,
        resizer=judge.resizer,
        image_size=images.image_size,
        num_images=len(images.indices),
        num_real_images=len(captions),
        data=manifest.name,
        split=captions.split,
        protocol=images.protocol,
        text_encoder_sha256=caption_match and caption_match.sha256,
        text_encoder_image_network=caption_match
        and caption_match.image_network,
        versions={
            "keras_t2i": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
            "python": platform.python_version(),
        },
    )
    return Evaluation(results, nearest_images, nearest_captions)


def _check_numbers(
    images: ModelImages | FolderImages,
    captions: EvaluationCaptions,
    class_ids: np.ndarray | None,
    caption_match: CaptionMatch | None,
) -> None:
    check_num_images("real", len(captions))
    check_num_images("generated", len(images.indices))
    if class_ids is None:
        if caption_match is not None:
            raise ValueError(
                "R-precision compares captions with those of other classes. "
                "Received: a text encoder, and a data set without classes. "
                "Leave out the text encoder."
            )
        warnings.warn(
            "r_precision is not measured: the data set has no classes.",
            stacklevel=3,
        )
    elif caption_match is not None:
        _, sizes = np.unique(class_ids, return_counts=True)
        fewest = len(class_ids) - sizes.max()
        if fewest < _NUM_OTHERS:
            raise ValueError(
                f"R-precision compares a caption with {_NUM_OTHERS} of other "
                f"classes. Received: {fewest} for images of the largest class. "
                "Name a split with more images, or leave out the text encoder."
            )


def _training_examples(
    captions: EvaluationCaptions, manifest: Manifest
) -> PreparedExamples | None:
    """Returns what generated images may be copies of, `None` without any."""
    if not {*_TRAINING_SPLITS} & {*manifest.splits}:
        reason = "the data set has no training images"
    elif captions.split in _TRAINING_SPLITS:
        reason = f"the images of {captions.split!r} are trained on"
    else:
        return PreparedExamples(captions.path, _ALL_TRAINING)
    warnings.warn(
        f"nearest_training_ratio is not measured: {reason}.", stacklevel=3
    )
    return None


@dataclasses.dataclass
class _ImageMeasures:
    features: np.ndarray
    # Empty without a text encoder.
    image_embeddings: np.ndarray
    grain: float | None
    attributes: dict[str, float | None]


def _measure_images(
    judge: Judge,
    caption_match: CaptionMatch | None,
    are_blooms: bool,
    read: _Read,
    captions: list[str],
    progress: Progress,
    known_features: np.ndarray | None = None,
) -> _ImageMeasures:
    """Reads an image for each caption, measures it, and keeps none."""
    features, embeddings, grains, readings = [], [], [], []
    num_images = len(captions)
    progress(0, num_images)
    for rows, batch in image_batches(read, num_images):
        if known_features is None:
            features.append(judge.features(batch))
        else:
            features.append(known_features[rows])
        if caption_match is not None:
            embeddings.append(
                caption_match.image_embeddings(batch, features[-1])
            )
        if has_grain(batch.shape[1]):
            grains.append(metrics.grain(batch) * len(batch))
        if are_blooms:
            readings += [
                metrics.bloom_attribute_accuracy(image[None], [captions[row]])
                for image, row in zip(batch, rows)
            ]
        progress(int(rows[-1]) + 1, num_images)
    attributes: dict[str, float | None] = {}
    for name in _BLOOM_ATTRIBUTES if are_blooms else ():
        # Over the captions that name it.
        shares = [reading[name] for reading in readings if name in reading]
        attributes[name] = float(np.mean(shares)) if shares else None
    return _ImageMeasures(
        np.concatenate(features),
        np.concatenate(embeddings or [np.empty(0)]),
        sum(grains) / num_images if grains else None,
        attributes,
    )


def _caption_measures(
    measured: _ImageMeasures,
    embeddings: np.ndarray | None,
    class_ids: np.ndarray | None,
    caption_of_image: np.ndarray,
    groups: np.ndarray | None,
) -> dict[str, Any]:
    """Returns the measures of images beside their captions, by name.

    `embeddings` and `class_ids` are those of all captions. `diversity` is
    within `groups`. `nearest_training_ratio`, whose place is here, is `None`.
    """
    r_precision = None
    if embeddings is not None and class_ids is not None:
        r_precision = metrics.r_precision(
            measured.image_embeddings,
            embeddings,
            class_ids,
            _NUM_OTHERS,
            _SEED,
            caption_of_image=caption_of_image,
        )
    return {
        "r_precision": r_precision,
        "diversity": _diversity(measured.features, groups),
        "nearest_training_ratio": None,
        "grain": measured.grain,
        **measured.attributes,
    }


def _diversity(features: np.ndarray, groups: np.ndarray | None) -> float | None:
    """Diversity within groups, `None` if no group has two images."""
    if groups is None:
        return None
    _, sizes = np.unique(groups, return_counts=True)
    if len(sizes) < 2 or sizes.max() < 2:
        return None
    return _unless_impossible(
        metrics.diversity_within_captions, features, groups
    )


def _unless_impossible(
    measure: Callable[..., float], *arguments: np.ndarray
) -> float | None:
    """Returns a measure, or `None` and a warning if it is not defined."""
    try:
        return measure(*arguments)
    except ValueError as error:
        warnings.warn(
            f"{measure.__name__} is not measured: {error}", stacklevel=3
        )
        return None
