"""Refuses what cannot be trained: by its inputs, or on this machine.

For the memory, the numbers that a training keeps are counted before any of
them is made: the weights with what optimizers keep of them, and what each layer
gives for each image of a batch. A training takes more than that, so none is
refused that could run.
"""

import concurrent.futures
import math
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.shards import EmbeddedCaptions
from keras_t2i.datasets.shards import ShardReader
from keras_t2i.evaluation.generated_images import EvaluationCaptions
from keras_t2i.evaluation.generated_images import ModelImages
from keras_t2i.evaluation.judge import Judge
from keras_t2i.evaluation.quick_evaluation import FEWEST_IMAGES
from keras_t2i.metrics.distances import unit_rows
from keras_t2i.models.discriminator import members_of
from keras_t2i.models.from_recipe import networks_of_recipe
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.recipes.recipe import MEASURED_SPLIT
from keras_t2i.recipes.recipe import Recipe
from keras_t2i.recipes.recipe import StyleRecipe
from keras_t2i.recipes.recipe import TextRecipe
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.training.model_files import networks_learned_from
from keras_t2i.types import StrPath

# Counting takes a second. It is left out for the sizes that people use.
_USUAL = 128
# Half precision and other machines change embeddings far less.
_LEAST_COSINE = 0.95
NEEDS_CAPTIONS = (
    "`keep_best` generates from captions, and needs `text_encoder`. Received: "
    "`text_embeddings` alone. Leave out `keep_best`."
)


def checked_data(recipe: Recipe, paths: dict[str, str | None]) -> str:
    """Checks the inputs; returns the path of the data set."""
    data = paths["data"]
    if data is None:
        raise ValueError(
            "train needs `data` DIR, a prepared data set. Received: no `data`."
        )
    if paths["model"] is not None and paths["text_encoder"] is not None:
        raise ValueError(
            "`model` has a text encoder, and cannot use another one. "
            f"Received: also `text_encoder` {paths['text_encoder']!r}. Leave "
            "it out."
        )
    has_encoder = paths["text_encoder"] is not None or recipe.end_to_end
    if not has_encoder and paths["model"] is None:
        if paths["text_embeddings"] is None:
            raise ValueError(
                "train needs `text_encoder` RUN_OR_FILE, made by `train-text`, "
                "`end_to_end=True` to train a new one, or `text_embeddings` "
                "PATH, embeddings of your own. Received: none of them."
            )
        if recipe.keep_best is not None:
            raise ValueError(NEEDS_CAPTIONS)
    if paths["text_embeddings"] is not None and recipe.end_to_end:
        raise ValueError(
            "`text_embeddings` belong to a text encoder that is not trained. "
            "Received: also `end_to_end=True`, which trains it. Leave out one "
            "of them."
        )
    return data


def check_batch_size(recipe: Recipe, num_images: int) -> None:
    """Raises `ValueError` if a batch is larger than the data set."""
    if recipe.batch_size > num_images:
        raise ValueError(
            "`batch_size` must be at most the number of images to train on, "
            f"{num_images}. Received: {recipe.batch_size}. Name a smaller one, "
            "or prepare more images."
        )


def check_devices(recipe: Recipe, num_devices: int) -> None:
    """Raises `ValueError` if devices cannot share a batch."""
    if recipe.batch_size % num_devices:
        raise ValueError(
            "`batch_size` must be a multiple of the number of devices, "
            f"{num_devices}. Received: {recipe.batch_size}."
        )
    is_added = recipe.interpolate and not recipe.interpolate_in_place
    if is_added and recipe.batch_size < 2 * num_devices:
        raise ValueError(
            "Interpolated texts need batches of at least 2 images on each "
            f"device. Received: `batch_size` {recipe.batch_size} for "
            f"{num_devices} {'device' if num_devices == 1 else 'devices'}. "
            "Name a larger one, or a preset without them, such as `gan_cls`."
        )


def check_embedding_dim(
    embeddings: StrPath,
    text_encoder: keras.Model,
    paths: dict[str, str | None],
) -> None:
    """Raises `ValueError` if embeddings do not fit their text encoder."""
    embedding_dim = read_embedding_manifest(embeddings).embedding_dim
    if embedding_dim != text_encoder.output_shape[-1]:
        raise ValueError(
            "`text_embeddings` must have the size of those of `text_encoder`, "
            f"{text_encoder.output_shape[-1]}. Received: "
            f"{paths['text_embeddings']!r}, of size {embedding_dim}."
        )


def check_made_by(
    text_encoder: keras.Model,
    data: StrPath,
    embeddings: StrPath,
    paths: dict[str, str | None],
) -> None:
    """Raises `ValueError` if another text encoder has made embeddings.

    Those of the first image tell. Others have embedded its captions in any
    order, or have taken their mean.
    """
    manifest = read_embedding_manifest(embeddings)
    name = next(iter(manifest.splits))
    first_shard = manifest.splits[name].shards[:1]
    record = ShardReader(embeddings, first_shard).read(0)
    given = EmbeddedCaptions.parse(record).embeddings
    first_shard = read_manifest(data).splits[name].shards[:1]
    record = ShardReader(data, first_shard).read(0)
    captions = list(CaptionedImage.parse(record).captions)
    own = embed_texts(text_encoder, captions)
    own = np.concatenate([own, own.mean(axis=0, keepdims=True)])
    cosines = unit_rows(given) @ unit_rows(own).T
    found = float(cosines.max(axis=1).mean())
    if found < _LEAST_COSINE:
        maker = "`text_encoder`"
        if paths["text_encoder"] is None:
            maker = "the text encoder of `model`"
        raise ValueError(
            f"`text_embeddings` must be those that {maker} makes, which embeds "
            f"later captions. Received: {paths['text_embeddings']!r}, whose "
            f"cosine with them is {found:.2f} for the captions of the first "
            "image. Leave one of the two out."
        )


def check_measured(
    manifest: Manifest, steps: int | None, measured_steps: int
) -> None:
    """Raises `ValueError` if `keep_best` has too little to measure.

    The data set may lack images, or the training end before a measurement.
    """
    splits = manifest.splits
    count = splits[MEASURED_SPLIT].num_images if MEASURED_SPLIT in splits else 0
    if count < FEWEST_IMAGES:
        received = f"the splits {', '.join(sorted(splits))}"
        if MEASURED_SPLIT in splits:
            received += f", with {count} images in {MEASURED_SPLIT}"
        raise ValueError(
            "`keep_best` trains on a split train and measures on a split "
            f"{MEASURED_SPLIT} of at least {FEWEST_IMAGES} images. Received: "
            f"{received}. Prepare the data set with a longer list of "
            "validation classes, valclasses.txt, or leave out `keep_best`."
        )
    if steps is not None and steps < measured_steps:
        raise ValueError(
            f"`keep_best` measures every {measured_steps} steps. Received: a "
            f"training of {steps} steps. Train longer, or leave out "
            "`keep_best`."
        )


def check_judge(
    judge: Judge,
    gan: TextToImageGAN,
    captions: EvaluationCaptions,
    paths: dict[str, str | None],
) -> None:
    """Raises `ValueError` if a GAN has learned from the judge."""
    networks = networks_learned_from(paths["model"] or paths["text_encoder"])
    images = ModelImages(gan, captions, trained_with=networks)
    if judge.known_as & images.trained_with:
        raise ValueError(
            f"`keep_best` measures by {judge.name}, which the model must not "
            "have been trained with. Received: a model or text encoder that "
            "has. Use a text encoder of `train-text --image-encoder "
            "efficientnet_lite0`, or leave out `keep_best`."
        )


def check_gan_memory(recipe: Recipe, num_workers: int = 1) -> None:
    """Raises `ValueError` if a GAN does not fit into the memory.

    `num_workers` machines share each batch.
    """
    widths = recipe.generator_width, recipe.discriminator_width
    if max(*widths, recipe.batch_size) <= _USUAL:
        return
    generator, discriminator, _ = without_memory(
        lambda: networks_of_recipe(recipe, None)
    )
    # Adam keeps two numbers for each weight. The generator has an average too.
    weights = 4 * generator.count_params() + 3 * discriminator.count_params()
    # The discriminator sees real and generated images.
    outputs = num_outputs(generator) + 2 * sum(
        num_outputs(member) for member in members_of(discriminator)
    )
    _check_memory(
        weights,
        recipe.batch_size // num_workers * outputs,
        f"`width` {recipe.discriminator_width} and `batch_size` "
        f"{recipe.batch_size}",
    )


def check_batch_memory(
    recipe: TextRecipe | StyleRecipe, num_rows: int, *networks: keras.Model
) -> None:
    """Raises `ValueError` if a batch does not fit into the memory.

    That is what the layers of networks give for `num_rows` rows of it.
    """
    outputs = num_rows * sum(map(num_outputs, networks))
    _check_memory(0, outputs, f"`batch_size` {recipe.batch_size}")


def _check_memory(weights: int, outputs: int, what: str) -> None:
    """Raises `ValueError` if so many floats do not fit into the memory.

    `weights` counts weights and what is kept for each, and `outputs` the
    outputs of layers for all rows of a batch. `what` names the fields that
    decide it, and their values.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 4 * (weights + outputs) > memory:
        of_weights, of_outputs, available = (
            f"{size / 2**30:,.0f} GiB"
            for size in (4 * weights, 4 * outputs, memory)
        )
        raise ValueError(
            f"The training must fit into the memory, {available}. Received: "
            f"{what}, which take at least {of_weights} for weights and "
            f"{of_outputs} for a batch. Name smaller ones."
        )


def num_outputs(network: keras.Model) -> int:
    """Returns how many numbers the layers of a network give for one row."""
    return sum(
        math.prod(layer.output.shape[1:])
        for layer in network.layers
        if hasattr(layer, "output") and hasattr(layer.output, "shape")
    )


def without_memory(make: Callable[[], Any]) -> Any:
    """Calls a function that makes networks whose weights have no values."""

    def make_without_values() -> Any:
        with keras.StatelessScope(initialize_variables=False):
            return make()

    # Keras lists variables without values, and gives values to all of them
    # later. It has such a list for each thread.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(make_without_values).result()
