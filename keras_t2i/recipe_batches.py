"""The batches that a GAN is trained on, as its recipe says."""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_t2i.datasets.batches import make_dataset
from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.models.discriminator import members_of
from keras_t2i.models.normalization import standardizations_of
from keras_t2i.recipes.recipe import Recipe
from keras_t2i.types import StrPath

# Texts whose mean and deviation stand for those of all.
_NUM_STANDARDIZED = 3200


def recipe_batches(
    gan: Any,
    recipe: Recipe | None,
    path: StrPath,
    split: str,
    text_embeddings: StrPath | None,
    start_step: int | None = None,
    **options: Any,
) -> tf.data.Dataset:
    """Makes the batches of a recipe, and sets the GAN's text standardization.

    `gan` is a `TextToImageGAN`. A `recipe` of `None` stands for the defaults of
    `make_dataset`. `path` is that of a prepared data set, and `text_embeddings`
    that of its embeddings or `None`. `start_step` is as in `make_dataset`,
    whose arguments in `options` take the place of the recipe's.
    """
    given = {"mismatched": gan.matching_aware, "image_size": gan.image_size}
    tokenize = getattr(gan.text_encoder, "tokenize", None)
    if tokenize is not None:
        given["tokenize"] = tokenize
    if recipe is not None:
        given["batch_size"] = recipe.batch_size
        given["seed"] = recipe.seed
        if text_embeddings is not None:
            given["captions_per_image"] = recipe.captions_per_image
            given["mismatch_candidates"] = recipe.mismatch_candidates
    given |= options
    batches = make_dataset(
        path,
        split,
        text_embeddings=text_embeddings,
        start_step=start_step,
        **given,
    )
    wanted = recipe is not None and recipe.standardize_texts
    if wanted and text_embeddings is not None and not _is_standardized(gan):
        gan.standardize_texts(
            sample_texts(
                path,
                split,
                text_embeddings,
                given["captions_per_image"],
                given["seed"],
            )
        )
    return batches


def sample_texts(
    path: StrPath,
    split: str,
    text_embeddings: StrPath,
    captions_per_image: int | tuple[int, ...],
    seed: int,
) -> np.ndarray:
    """Returns embeddings as the networks see them in training.

    `path` is that of a prepared data set, and `text_embeddings` that of its
    embeddings. `captions_per_image` is as in `make_dataset`. The result is
    float32 of shape `(3200, embedding_dim)`.
    """
    embeddings = ExtractedEmbeddings(
        text_embeddings, PreparedExamples(path, split)
    )
    generator = np.random.default_rng(seed)
    indices = generator.permutation(len(embeddings))
    # Small data sets repeat, with other captions.
    indices = np.resize(indices, _NUM_STANDARDIZED)
    # The numbers of captions take turns, image by image.
    counts = np.resize(captions_per_image, _NUM_STANDARDIZED)
    texts = []
    for index, count in zip(indices, counts):
        captions = embeddings.read(int(index))
        chosen = generator.permutation(len(captions))[:count]
        texts.append(captions[chosen].mean(axis=0))
    return np.array(texts, np.float32)


def _is_standardized(gan: Any) -> bool:
    return any(
        np.any(layer.mean)
        for network in (gan.generator, *members_of(gan.discriminator))
        for layer in standardizations_of(network)
    )
