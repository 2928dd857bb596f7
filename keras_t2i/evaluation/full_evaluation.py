"""All measures of generated images, and the same of real ones."""

import dataclasses
import platform
import warnings

import keras
import numpy as np
import PIL
import tensorflow as tf

from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.images import model_square
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.evaluation.generated_images import image_batches
from keras_t2i.evaluation.generated_images import show_nothing
from keras_t2i.evaluation.judge import check_independence
from keras_t2i.evaluation.quick_evaluation import QuickEvaluation
from keras_t2i.evaluation.quick_evaluation import check_num_images
from keras_t2i.evaluation.quick_evaluation import feature_distances
from keras_t2i.metrics.distances import diversity_within_captions
from keras_t2i.metrics.embedding_measures import r_precision
from keras_t2i.metrics.neighbors import nearest_training_images
from keras_t2i.metrics.neighbors import nearest_training_ratio
from keras_t2i.metrics.pixel_measures import bloom_attribute_accuracy
from keras_t2i.metrics.pixel_measures import grain
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
# What `grain` takes.
_GRAIN_SIDES = (4, 16)


def versions() -> dict[str, str]:
    """Returns the versions of what measures."""
    return {
        "keras_t2i": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
    }


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `evaluate_images` has found.

    Attributes:
        results: dict, for JSON. `frechet_distance`, `kernel_distance`,
            `kernel_distance_std`, `precision`, `recall`, `density`,
            `coverage`, `r_precision`, `diversity`, `nearest_training_ratio`
            and `grain`, on `blooms` also `petal_color`, `center_color`,
            `petal_shape` and `petal_count`: floats, or `None` for what is not
            measured. `real`: dict of the same names, of real images. And how
            they were measured.
        nearest_images: uint8 array of shape `(num_nearest, 2, size, size, 3)`:
            the ten generated images that are closest to a training image, the
            closest first, each with that image. `None` without training
            images.
        nearest_captions: list of strings. The captions of these ten.
    """

    results: dict
    nearest_images: np.ndarray | None
    nearest_captions: list[str]


def evaluate_images(
    images, captions, judge, caption_match=None, show_progress=None
):
    """Measures generated images against all real images of a split.

    Real images are what a model sees of them (`model_square`), at the size of
    the generated ones; both pass the judge in the same way. Its features of
    the data set are kept beside it.

    Each measure is also taken of real images, since it says little alone:
    `frechet_distance`, `kernel_distance`, `precision`, `recall`, `density` and
    `coverage` of a random half of them against the other half;
    `nearest_training_ratio` of one half, by the distances of the other;
    `r_precision`, `grain` and the attributes of `blooms` of all of them, with
    the captions that images are generated from; `diversity` within classes in
    place of captions, which says how different images of a kind are.

    `diversity` needs several images of a caption, `r_precision` a text encoder
    and classes, and `nearest_training_ratio` a split that was not trained on.

    Args:
        images: `ModelImages` or `FolderImages`.
        captions: `EvaluationCaptions` of the split to compare with.
        judge: `Judge`.
        caption_match: `CaptionMatch`, for `r_precision`. Defaults to `None`:
            that is not measured.
        show_progress: function of a description and of a unit to a context
            manager of a function of how many are done and of all. Defaults to
            `None`.

    Returns:
        `Evaluation`.

    Raises:
        ValueError: there are fewer than 50 images of either kind, what judges
            has trained the model, captions cannot be compared with those of
            other classes, or the data set is damaged.
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
    if show_progress is None:
        show_progress = show_nothing
    manifest = read_manifest(captions.path)
    class_ids = captions.examples.class_ids
    _check_numbers(images, captions, class_ids, caption_match)
    check_independence(images, judge, caption_match)
    if images.image_size > manifest.image_size:
        warnings.warn(
            f"Real images of {manifest.image_size} pixels are enlarged to "
            f"{images.image_size}, that of the generated ones: prepare the "
            "data set with that image size.",
            stacklevel=2,
        )
    quick = QuickEvaluation(captions, judge, images.image_size, show_progress)
    real_features = quick.real_features
    training = _training_examples(captions.path, captions.split, manifest)

    looker = _Looker(judge, caption_match, manifest.name == "blooms")
    with show_progress("Measuring generated images", "images") as progress:
        generated = looker.look(
            images.read,
            [captions.captions[index] for index in images.indices],
            progress,
        )
    real_images = _RealImages(
        captions.examples, manifest.image_size, images.image_size
    )
    with show_progress("Measuring real images", "images") as progress:
        real = looker.look(
            real_images.read, captions.captions, progress, real_features
        )

    order = np.random.default_rng(_SEED).permutation(len(real_features))
    halves = np.array_split(real_features[order], 2)
    results = feature_distances(real_features, generated.features)
    with warnings.catch_warnings():
        # That halves are few was said of the whole.
        warnings.simplefilter("ignore", UserWarning)
        of_real = feature_distances(*halves)
    embeddings = None
    if caption_match is not None:
        embeddings = caption_match.text_embeddings(captions.captions)
    everything = np.arange(len(captions))
    for figures, look, indices, groups in (
        (results, generated, images.indices, images.indices),
        (of_real, real, everything, class_ids),
    ):
        figures["r_precision"] = None
        if embeddings is not None:
            figures["r_precision"] = r_precision(
                look.image_embeddings,
                embeddings[indices],
                class_ids[indices],
                _NUM_OTHERS,
                _SEED,
            )
        figures["diversity"] = _diversity(look.features, groups)
        figures["nearest_training_ratio"] = None
        figures["grain"] = look.grain
        figures.update(look.attributes)
    nearest_images, nearest_captions = None, []
    if training is not None:
        training_features = quick.features_of(_ALL_TRAINING)
        for figures, rows, others in (
            (results, generated.features, real_features),
            (of_real, *halves),
        ):
            figures["nearest_training_ratio"] = _unless_impossible(
                nearest_training_ratio, rows, others, training_features
            )
        nearest_images, rows = _nearest(
            images, generated.features, training, training_features, manifest
        )
        nearest_captions = [
            captions.captions[index] for index in images.indices[rows]
        ]
    results["real"] = of_real
    results.update(
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
        versions=versions(),
    )
    return Evaluation(results, nearest_images, nearest_captions)


def _check_numbers(images, captions, class_ids, caption_match):
    check_num_images("real", len(captions), "Name a larger split.")
    check_num_images("generated", len(images.indices), "Generate more.")
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
        _, sizes = np.unique(class_ids[images.indices], return_counts=True)
        fewest = len(images.indices) - sizes.max()
        if fewest < _NUM_OTHERS:
            raise ValueError(
                f"R-precision compares a caption with {_NUM_OTHERS} of other "
                f"classes. Received: {fewest} for images of the largest class. "
                "Generate more images, or leave out the text encoder."
            )


def _training_examples(path, split, manifest):
    """Returns the examples to look for copies of, `None` without."""
    has_training_images = bool({*_TRAINING_SPLITS} & {*manifest.splits})
    if split in _TRAINING_SPLITS or not has_training_images:
        reason = (
            f"the images of {split!r} are trained on"
            if has_training_images
            else "the data set has no training images"
        )
        warnings.warn(
            f"nearest_training_ratio is not measured: {reason}.", stacklevel=3
        )
        return None
    return PreparedExamples(path, _ALL_TRAINING)


class _RealImages:
    """What a model sees of the images of a split."""

    def __init__(self, examples, crop_size, image_size):
        self._examples = examples
        self._sizes = (crop_size, image_size)

    def read(self, rows):
        return np.stack(
            [
                model_square(self._examples.read(row).image, *self._sizes)
                for row in rows
            ]
        )


@dataclasses.dataclass
class _Look:
    features: np.ndarray
    image_embeddings: np.ndarray | None
    grain: float | None
    attributes: dict[str, float | None]


class _Looker:
    """Goes through images once, and keeps none of them."""

    def __init__(self, judge, caption_match, are_blooms):
        self._judge = judge
        self._caption_match = caption_match
        self._are_blooms = are_blooms

    def look(self, read, captions, progress, known_features=None):
        """Looks at all images, `read` of rows, with a caption for each."""
        features, embeddings, grain_sum, readings = [], [], 0.0, []
        num_images = len(captions)
        progress(0, num_images)
        for rows, batch in image_batches(read, num_images):
            if known_features is None:
                features.append(self._judge.features(batch))
            else:
                features.append(known_features[rows])
            if self._caption_match is not None:
                embeddings.append(
                    self._caption_match.image_embeddings(batch, features[-1])
                )
            has_grain = _has_grain(batch.shape[1])
            grain_sum += grain(batch) * len(batch) if has_grain else 0.0
            if self._are_blooms:
                readings += [
                    bloom_attribute_accuracy(image[None], [captions[row]])
                    for image, row in zip(batch, rows)
                ]
            progress(int(rows[-1]) + 1, num_images)
        return _Look(
            np.concatenate(features),
            np.concatenate(embeddings) if embeddings else None,
            grain_sum / num_images if has_grain else None,
            _means(readings) if self._are_blooms else {},
        )


def _has_grain(side):
    multiple, at_least = _GRAIN_SIDES
    return side % multiple == 0 and side >= at_least


def _means(readings):
    """Means of each attribute over the captions that name it."""
    means = {}
    for name in _BLOOM_ATTRIBUTES:
        values = [reading[name] for reading in readings if name in reading]
        means[name] = float(np.mean(values)) if values else None
    return means


def _diversity(features, groups):
    """Diversity within groups, `None` where no group has two images."""
    if groups is None:
        return None
    _, sizes = np.unique(groups, return_counts=True)
    if len(sizes) < 2 or sizes.max() < 2:
        return None
    return _unless_impossible(diversity_within_captions, features, groups)


def _unless_impossible(measure, *arguments):
    """Returns a measure, `None` with a warning where it is not defined."""
    try:
        return measure(*arguments)
    except ValueError as error:
        warnings.warn(
            f"{measure.__name__} is not measured: {error}", stacklevel=3
        )
        return None


def _nearest(images, features, training, training_features, manifest):
    found, distances = nearest_training_images(features, training_features)
    rows = np.argsort(distances, kind="stable")[:_NUM_NEAREST]
    neighbors = _RealImages(
        training, manifest.image_size, images.image_size
    ).read(found[rows])
    return np.stack([images.read(rows), neighbors], axis=1), rows
