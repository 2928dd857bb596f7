"""`keras_t2i.train`, the one way into a training."""

import os
from collections.abc import Mapping

import keras

from keras_t2i.recipes.base_recipe import AnyRecipe
from keras_t2i.recipes.base_recipe import BaseRecipe
from keras_t2i.recipes.recipe import Recipe
from keras_t2i.recipes.recipe import StyleRecipe
from keras_t2i.recipes.recipe import TextRecipe
from keras_t2i.training.gan_training import GANTraining
from keras_t2i.training.run_folder import RunFolder
from keras_t2i.training.style_training import train_style_encoder
from keras_t2i.training.text_training import train_text_encoder
from keras_t2i.training.workers import start_workers
from keras_t2i.types import StrPath

# The inputs of a training, by the class of its recipe.
INPUTS: dict[type[BaseRecipe], tuple[str, ...]] = {
    Recipe: ("data", "text_encoder", "text_embeddings", "model"),
    TextRecipe: ("data",),
    StyleRecipe: ("data", "model"),
}


def train(
    recipe: Recipe | TextRecipe | StyleRecipe,
    *,
    out: StrPath,
    data: StrPath | None = None,
    text_encoder: StrPath | None = None,
    text_embeddings: StrPath | None = None,
    model: StrPath | None = None,
    resume: bool = False,
) -> keras.Model:
    """Trains in a run folder, as the commands of `keras-t2i` do.

    The folder gets `config.json`, with the recipe, the inputs and the versions
    of libraries; `metrics.jsonl`; `checkpoints/`; `model.keras`; and for a GAN
    `samples/` and, with `keep_best`, `best.keras`. It is locked, so that no
    other process trains in it. Ctrl-C ends the training cleanly. The random
    generators of Python, NumPy and Keras start from the seed of the recipe.

    Args:
        recipe: `Recipe` for a GAN, `TextRecipe` for a text encoder, or
            `StyleRecipe` for a style encoder.
        out: path of the run folder to make.
        data: path of a folder written by `keras-t2i prepare`. Needed unless a
            run is resumed.
        text_encoder: for a GAN, path of a run folder of a `TextRecipe` or of
            a `Recipe`, of a .keras file, of a folder that `save_to_preset`
            wrote or of a published .t7 file; or the name of a preset with
            weights. Its embeddings of all captions are computed first, unless
            they are beside it already.
        text_embeddings: for a GAN, path of a folder of embeddings written by
            `keras-t2i embed`, or of embeddings of your own in a layout that
            `keras_t2i.text.import_embeddings` reads, which are imported once
            and kept with the data set. They are used instead of those beside
            the encoder. Without `text_encoder`, the GAN generates from
            embeddings alone.
        model: path of the run folder of a GAN, of a .keras file or of a folder
            of `save_to_preset`, or name of a preset with weights. A style
            encoder is trained to invert it. A GAN begins with its weights and
            text encoder, and with new optimizers; the recipe must have its
            networks, such as `TextToImageGAN.from_preset(path).recipe` has.
        resume: bool. Whether to resume the run in `out` from its last
            checkpoint. Only the duration may differ from what the run was
            started with. Inputs may be left out, or given where they lie now.
            Defaults to `False`.

    Returns:
        `TextToImageGAN`, `JointEmbedding` or `StyleInversion`, as it is after
        the last step.

    Raises:
        ValueError: an input is missing or damaged, the recipe does not fit it,
            or the folder is not free or, to resume, holds no such run or one
            that was started with another input; or workers differ.
        FloatingPointError: the training has diverged.
        keras_t2i.errors.TrainingError: a full disk, a lack of memory, damaged
            data or the end of another worker stopped the training.
        KeyboardInterrupt: Ctrl-C has ended the training cleanly, or SIGTERM
            (`keras_t2i.errors.Terminated`).
    """
    given = {
        "data": data,
        "text_encoder": text_encoder,
        "text_embeddings": text_embeddings,
        "model": model,
    }
    run, recipe, paths = prepared(recipe, out, given, resume)
    policy = keras.mixed_precision.dtype_policy()
    try:
        if isinstance(recipe, Recipe):
            return GANTraining(run, recipe, paths).fit()
        if isinstance(recipe, TextRecipe):
            return train_text_encoder(run, recipe, paths)
        return train_style_encoder(run, recipe, paths)
    finally:
        run.unlock()
        # The recipe's precision is not that of the program's other layers.
        keras.mixed_precision.set_dtype_policy(policy)


def prepared(
    recipe: AnyRecipe,
    out: StrPath,
    given: Mapping[str, StrPath | None],
    resume: bool,
) -> tuple[RunFolder, AnyRecipe, dict[str, str | None]]:
    """Returns the run folder, checked, the recipe and the inputs.

    The arguments are those of `train`, of which `given` has the inputs.
    """
    if type(recipe) not in INPUTS:
        raise ValueError(
            "`recipe` must be a `Recipe`, `TextRecipe` or `StyleRecipe`. "
            f"Received: {recipe!r}"
        )
    names = INPUTS[type(recipe)]
    for name, path in given.items():
        if path is not None and not isinstance(path, (str, os.PathLike)):
            raise ValueError(
                f"`{name}` must be a path, so that the run can be resumed. "
                f"Received: {path!r}. Save it first."
            )
        if path is not None and name not in names:
            raise ValueError(
                f"A `{type(recipe).__name__}` is trained with "
                f"{', '.join(f'`{known}`' for known in names)}. Received: "
                f"`{name}` {os.fspath(path)!r}"
            )
    paths = {
        name: None if (path := given.get(name)) is None else _lasting(path)
        for name in names
    }
    # Only recipes of GANs have a strategy.
    workers = start_workers(getattr(recipe, "strategy", "none"))
    run = RunFolder(out, workers)
    with workers.together():
        if resume:
            recipe, paths = run.resumed(recipe, paths)
        else:
            run.check_free()
    return run, recipe, paths


def _lasting(path: StrPath) -> str:
    """Returns a path that a run can be resumed with from any folder."""
    # What is not there may be the name of a preset.
    return os.path.abspath(path) if os.path.exists(path) else os.fspath(path)
