"""The training of a text encoder on a prepared data set."""

import os
import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_t2i.applications.efficientnet_lite import IMAGE_NETWORKS
from keras_t2i.datasets.batches import make_pairs_dataset
from keras_t2i.datasets.examples import ImageFeatures
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.files import atomic_write
from keras_t2i.linear_decay import LinearDecay
from keras_t2i.losses.compatibility import SoftmaxJointEmbedding
from keras_t2i.losses.compatibility import StructuredJointEmbedding
from keras_t2i.recipes.recipe import TextRecipe
from keras_t2i.terminal import print_note
from keras_t2i.text.char_cnn_rnn import CharCNNRNN
from keras_t2i.text.image_encoders import application_encoder
from keras_t2i.text.image_encoders import feature_encoder
from keras_t2i.text.image_encoders import image_encoder
from keras_t2i.text.joint_embedding import JointEmbedding
from keras_t2i.tokenizers import vocabulary_of
from keras_t2i.training.precomputed import network_features
from keras_t2i.training.run_folder import RunFolder
from keras_t2i.training.runner import failures_while_running
from keras_t2i.training.runner import fit_run
from keras_t2i.training.runner import num_images
from keras_t2i.training.runner import set_up
from keras_t2i.training.runner import training_split
from keras_t2i.training.training_checks import check_batch_memory
from keras_t2i.types import StrPath

_SMALL = "small"


def train_text_encoder(
    run: RunFolder, recipe: TextRecipe, paths: dict[str, str | None]
) -> JointEmbedding:
    """Trains a text encoder in a run folder.

    `run` is free, or of a run to resume. `paths` maps `data` to the path of a
    prepared data set. The model is returned as saved in the run folder.

    Raises `ValueError` if the data set is damaged, or does not fit the recipe.
    Raises `KeyboardInterrupt` if Ctrl-C has ended the training cleanly,
    `TrainingError` if it fails, and `FloatingPointError` if it diverges.
    """
    data = paths["data"]
    if data is None:
        raise ValueError(
            "train-text needs `data` DIR, a prepared data set. Received: no "
            "`data`."
        )
    _check_image_weights(recipe)
    manifest = read_manifest(data)
    split = training_split(manifest)
    if recipe.split == "train":
        split = "train"
    model = run.load_checkpoint(JointEmbedding) if run.last_step() else None
    # Before the training begins: it uses none of its time or random numbers.
    features = _features(recipe, data, model)
    set_up(recipe)
    if model is None:
        model = _new_model(recipe, data, manifest, split, features)

    def make_batches(step: int) -> tf.data.Dataset:
        return make_pairs_dataset(
            data,
            split,
            recipe.batch_size,
            images_per_class=recipe.images_per_class,
            image_features=features,
            seed=recipe.seed,
            start_step=step,
            tokenize=model.text_encoder.tokenize,
        )

    # Read now, so that damaged data leave no run folder behind.
    batches = make_batches(0)
    num_rows = batches.element_spec["images"].shape[0]
    networks = model.text_encoder, model.image_encoder
    check_batch_memory(recipe, num_rows, *networks)
    steps_per_epoch = epoch_steps(recipe, data, split, num_rows)
    if not model.compiled:
        compile_for(model, recipe, steps_per_epoch)
    inputs = {"data": {"path": data, "digest": data_fingerprint(manifest)}}
    path = recipe.image_encoder
    # The recipe names a file of features, not a network.
    if features == path:
        path = os.path.abspath(path)
        recipe = recipe.override(image_encoder=path)
        digest = ImageFeatures(path, data, split).digest()
        inputs["image_encoder"] = {"path": path, "digest": digest}
    run.write_config(recipe, inputs)
    unit = "classes" if manifest.class_names else "images"
    _report_smaller_batches(recipe, num_rows, unit)
    with failures_while_running(run):
        interruption = fit_run(
            run, model, make_batches(run.last_step()), recipe, steps_per_epoch
        )
        # Checkpoints, from which a run is resumed, are not standardized.
        some = batches.take(50).as_numpy_iterator()
        model.standardize(np.concatenate([row["token_ids"] for row in some]))
        with atomic_write(run.model) as temporary:
            model.save(temporary)
    if interruption is not None:
        raise interruption
    return model


def _report_smaller_batches(
    recipe: TextRecipe, num_rows: int, unit: str
) -> None:
    images_per_class = recipe.images_per_class
    expected = recipe.batch_size // images_per_class * images_per_class
    if num_rows < expected:
        print_note(
            f"smaller batches: {num_rows} images instead of {expected}, since "
            f"there are only {num_rows // images_per_class} {unit} to train on"
            + (
                ". Images prepared without sub-folders make larger ones"
                if unit == "classes"
                else ""
            )
        )


def _check_image_weights(recipe: TextRecipe) -> None:
    name = recipe.image_encoder
    if recipe.image_weights is None and not recipe.freeze_images:
        return
    if name == _SMALL or name in IMAGE_NETWORKS or _features_path(name):
        raise ValueError(
            "`image_weights` and `freeze_images` are for an `image_encoder` "
            f"of keras.applications. Received: `image_encoder` {name}."
        )


def _features(
    recipe: TextRecipe, data: str, model: JointEmbedding | None
) -> StrPath | None:
    if recipe.image_encoder in IMAGE_NETWORKS:
        num_features = model and model.image_encoder.input_shape[-1]
        return network_features(recipe.image_encoder, data, num_features)
    return _features_path(recipe.image_encoder)


def _features_path(name: str) -> str | None:
    # Even if a file has that name: it can be named as ./small.
    if name == _SMALL or callable(getattr(keras.applications, name, None)):
        return None
    # A name without a suffix that does not exist is a misspelt network.
    is_path = pathlib.Path(name).suffix or pathlib.Path(name).exists()
    return name if is_path else None


def _new_model(
    recipe: TextRecipe,
    data: str,
    manifest: Manifest,
    split: str,
    features: StrPath | None,
) -> JointEmbedding:
    name = recipe.image_encoder
    words: dict[str, Any] = {}
    if recipe.vocabulary_size is not None:
        words["vocabulary"] = _vocabulary(data, split, recipe.vocabulary_size)
    text_encoder = CharCNNRNN(
        convolution_filters=recipe.convolution_filters,
        third_pool=recipe.third_pool,
        recurrence=recipe.recurrence,
        embedding_dim=recipe.embedding_dim,
        **words,
    )
    if recipe.uniform_initialization is not None:
        initialize_uniformly(
            text_encoder, recipe.uniform_initialization, recipe.seed
        )
    num_classes = None
    if recipe.class_head_weight:
        num_classes = len(manifest.class_names)
        if not num_classes:
            raise ValueError(
                "A class head needs a data set with classes. Received: "
                f"{data!r}, which has none."
            )
    if name == _SMALL:
        images = image_encoder(manifest.image_size, recipe.embedding_dim)
    elif features is not None:
        read = ImageFeatures(features, data, split)
        images = feature_encoder(read.num_features, recipe.embedding_dim)
    else:
        images = application_encoder(
            name,
            manifest.image_size,
            recipe.embedding_dim,
            weights=recipe.image_weights,
            frozen=recipe.freeze_images,
        )
    return JointEmbedding(
        text_encoder,
        images,
        similarity=recipe.similarity,
        num_classes=num_classes,
        class_head_weight=recipe.class_head_weight,
        image_network=name if name in IMAGE_NETWORKS else None,
    )


def epoch_steps(
    recipe: TextRecipe, data: str, split: str, num_rows: int
) -> int:
    """Returns the number of steps of an epoch, each of `num_rows` images."""
    if recipe.steps_per_epoch == "classes":
        # As in the released code.
        class_ids = PreparedExamples(data, split).class_ids
        if class_ids is not None:
            return len(np.unique(class_ids))
    return max(1, num_images(read_manifest(data), split) // num_rows)


def compile_for(
    model: JointEmbedding, recipe: TextRecipe, steps_per_epoch: int
) -> JointEmbedding:
    """Compiles a `JointEmbedding` by its recipe; returns it."""
    learning_rate = recipe.learning_rate
    if recipe.decay_share is not None:
        learning_rate = LinearDecay(learning_rate)
    elif recipe.decay_per_epoch is not None:
        learning_rate = keras.optimizers.schedules.ExponentialDecay(
            learning_rate,
            steps_per_epoch,
            decay_rate=recipe.decay_per_epoch,
            staircase=True,
        )
    options: dict[str, Any] = {}
    if recipe.ema_momentum is not None:
        options = {"use_ema": True, "ema_momentum": recipe.ema_momentum}
    if recipe.optimizer == "adam":
        optimizer = keras.optimizers.Adam(learning_rate, **options)
    else:
        # As in Torch, which adds 1e-8 to the square root.
        optimizer = keras.optimizers.RMSprop(
            learning_rate, rho=0.99, epsilon=1e-16, **options
        )
    if recipe.loss == "softmax":
        loss = SoftmaxJointEmbedding(temperature=recipe.temperature)
    else:
        loss = StructuredJointEmbedding(margin=recipe.margin)
    model.compile(optimizer, loss)
    return model


def _vocabulary(data: str, split: str, size: int) -> tuple[str, ...]:
    examples = PreparedExamples(data, split)
    captions = (
        caption
        for index in range(len(examples))
        for caption in examples.read(index).captions
    )
    return vocabulary_of(captions, size)


def initialize_uniformly(model: keras.Model, limit: float, seed: int) -> None:
    """Sets all weights to random numbers, uniform from `-limit` to `limit`."""
    generator = np.random.default_rng(seed)
    model.set_weights(
        [
            generator.uniform(-limit, limit, weight.shape)
            for weight in model.weights
        ]
    )
