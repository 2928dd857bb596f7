"""`keras-t2i train-style`: a GAN and a data set -> a style encoder."""

import json

from keras_t2i.cli.options import add_duration
from keras_t2i.cli.recipe_options import add_resume
from keras_t2i.cli.recipe_options import add_tensorboard
from keras_t2i.cli.recipe_options import options_named
from keras_t2i.cli.recipe_options import recipe_of
from keras_t2i.recipes.base_recipe import DURATIONS
from keras_t2i.recipes.style_recipe import StyleRecipe


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "train-style",
        help="train a style encoder to invert a GAN",
        description="Trains a style encoder, which finds the noise that a GAN "
        "would draw a picture from: the picture's style, for `transfer`. It "
        "learns from what the GAN draws from the captions of a prepared data "
        "set, all splits but test, and from the pictures of these captions, "
        "which the GAN has to draw again from their styles. It is measured on "
        "captions of the test split, if there is one. The run folder gets "
        "config.json, metrics.jsonl, checkpoints/, model.keras and "
        "r_squared.json. Ctrl-C ends the training in order.",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="run folder of `train`, a .keras file, or the name of a preset "
        "with weights, such as gan_int_cls_plus_flowers",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="prepared data set, made by `prepare`",
    )
    parser.add_argument(
        "--out", metavar="RUN", required=True, help="run folder to make"
    )
    add_duration(parser, default_minutes=StyleRecipe().minutes)
    add_tensorboard(parser)
    add_resume(parser)
    parser.set_defaults(run=_run)


def _run(arguments):
    from keras_t2i.training.entry import train
    from keras_t2i.training.run_folder import RunFolder
    from keras_t2i.training.style_training import UNSEEN_SPLIT
    from keras_t2i.training.style_training import measured_file

    run = RunFolder(arguments.out)
    with options_named(arguments):
        train(
            recipe_of(StyleRecipe, arguments, (*DURATIONS, "tensorboard")),
            out=arguments.out,
            data=arguments.data,
            model=arguments.model,
            resume=arguments.resume,
        )
    print(f"style encoder: {run.model}")
    measured = json.loads(measured_file(run).read_text("utf-8"))
    values = measured["r_squared_per_dimension"]
    is_unseen = measured["split"] == UNSEEN_SPLIT
    kind = "unseen captions" if is_unseen else "captions of the training"
    print(
        f"R^2 of the noise, on {kind}: {measured['r_squared']:.3f} "
        f"({min(values):.3f} to {max(values):.3f} in the {len(values)} "
        f"dimensions, all in {measured_file(run)})"
    )
    ignored = len(measured["ignored_dimensions"])
    if ignored:
        print(
            f"the GAN ignores {ignored} of its {len(values)} noise "
            "dimensions, which nothing can recover"
        )
