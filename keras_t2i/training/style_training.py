"""The training of a style encoder, which inverts a GAN."""

import functools
import json
import pathlib
from typing import Any

import numpy as np

from keras_t2i.datasets.batches import make_captions_dataset
from keras_t2i.datasets.batches import make_dataset
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.files import atomic_write
from keras_t2i.models.style_encoder import StyleEncoder
from keras_t2i.models.style_inversion import StyleInversion
from keras_t2i.recipes.recipe import StyleRecipe
from keras_t2i.text.embeddings import PrecomputedEmbeddings
from keras_t2i.tokenizers import tokenize_for
from keras_t2i.training.model_files import gan_digest
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.run_folder import RunFolder
from keras_t2i.training.runner import failures_while_running
from keras_t2i.training.runner import fit_run
from keras_t2i.training.runner import num_images
from keras_t2i.training.runner import set_up
from keras_t2i.training.runner import training_split
from keras_t2i.training.training_checks import check_batch_memory

UNSEEN_SPLIT = "test"
_NUM_MEASURED = 1000


def train_style_encoder(
    run: RunFolder, recipe: StyleRecipe, paths: dict[str, str | None]
) -> StyleInversion:
    """Trains a style encoder in a run folder and measures it.

    `run` is free, or of a run to resume. `paths` maps `model` and `data` to the
    paths of a GAN and of a prepared data set. The measures are in
    `measured_file(run)`.

    Raises `ValueError` if an input is missing or damaged. Raises
    `KeyboardInterrupt` if Ctrl-C has ended the training cleanly,
    `TrainingError` if it fails, and `FloatingPointError` if it diverges.
    """
    model, data = paths["model"], paths["data"]
    if model is None or data is None:
        raise ValueError(
            "train-style needs `model` RUN_OR_FILE, a GAN, and `data` DIR, a "
            "prepared data set. Received: no "
            f"`{'model' if model is None else 'data'}`."
        )
    manifest = read_manifest(data)
    split = training_split(manifest)
    set_up(recipe)
    inversion = (
        run.load_checkpoint(StyleInversion)
        if run.last_step()
        else _new_inversion(recipe, model)
    )
    networks = inversion.generator, inversion.style_encoder
    check_batch_memory(recipe, recipe.batch_size, *networks)

    # Read now, so that damaged data leave nothing behind.
    captions, measured_split = captions_to_measure(data, manifest)
    options: dict[str, Any] = {
        "seed": recipe.seed,
        "start_step": run.last_step(),
        "tokenize": functools.partial(tokenize_for, inversion.text_encoder),
    }
    if inversion.reconstruction_weight:
        options["image_size"] = inversion.generator.image_size
        options["mismatched"] = False
        batches = make_dataset(data, split, recipe.batch_size, **options)
    else:
        batches = make_captions_dataset(
            data, split, recipe.batch_size, **options
        )
    run.write_config(
        recipe,
        {
            "data": {"path": data, "digest": data_fingerprint(manifest)},
            "model": {"path": model, "digest": gan_digest(model, run)},
        },
    )
    steps_per_epoch = max(1, num_images(manifest, split) // recipe.batch_size)
    with failures_while_running(run):
        interruption = fit_run(run, inversion, batches, recipe, steps_per_epoch)
        # Measures of an earlier model do not apply to this one.
        measured_file(run).unlink(missing_ok=True)
        run.publish_model()
        if interruption is not None:
            raise interruption
        measured = inversion.noise_r_squared(captions)
        per_dimension = measured.r_squared_per_dimension.tolist()
        values = {
            "step": run.last_step(),
            "split": measured_split,
            "num_captions": len(captions),
            "r_squared": measured.r_squared,
            "r_squared_per_dimension": per_dimension,
            "effect_per_dimension": measured.effect_per_dimension.tolist(),
            "ignored_dimensions": measured.ignored_dimensions,
        }
        with atomic_write(measured_file(run)) as temporary:
            temporary.write_text(json.dumps(values, indent=2) + "\n", "utf-8")
    return inversion


def measured_file(run: RunFolder) -> pathlib.Path:
    """Returns the path of the JSON that says how well noise is recovered."""
    return run.path / "r_squared.json"


def captions_to_measure(data: str, manifest: Manifest) -> tuple[list[str], str]:
    """Returns a caption of each image of a split, at most 1,000, and the split.

    It is the test split if there is one, else a split that is trained on.
    """
    split = UNSEEN_SPLIT
    if split not in manifest.splits:
        split = min(manifest.splits)
    examples = PreparedExamples(data, split)
    generator = np.random.default_rng(0)
    # At least two captions, even of a single image.
    order = np.resize(
        generator.permutation(len(examples)), max(2, len(examples))
    )
    captions = [
        str(generator.choice(examples.read(index).captions))
        for index in order[:_NUM_MEASURED]
    ]
    return captions, split


def _new_inversion(recipe: StyleRecipe, model: str) -> StyleInversion:
    gan = load_gan(model)
    if isinstance(gan.text_encoder, PrecomputedEmbeddings):
        raise ValueError(
            "A style encoder learns from captions, and needs a `model` that "
            f"reads texts. Received: {model!r}, a GAN that was trained on "
            "embeddings and has no text encoder. Train a GAN by `keras-t2i "
            "train --text-encoder`, and name it as `model`."
        )
    inversion = StyleInversion(
        # The generator that `generate` uses.
        gan.ema_generator,
        gan.text_encoder,
        StyleEncoder(gan.image_size, recipe.width, gan.noise_dim),
        image_noise=recipe.image_noise,
        color_jitter=recipe.color_jitter,
        reconstruction_weight=recipe.reconstruction_weight,
        seed=recipe.seed,
    )
    inversion.compile()
    return inversion
