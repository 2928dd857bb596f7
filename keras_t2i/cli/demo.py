"""`keras-t2i demo`: everything once, on rendered flowers."""

import argparse
import pathlib

from keras_t2i.cli.options import Subparsers
from keras_t2i.cli.options import positive_number
from keras_t2i.recipes.recipe import Recipe
from keras_t2i.recipes.recipe import TextRecipe
from keras_t2i.terminal import print_note
from keras_t2i.terminal import print_result

_NUM_IMAGES = 8000
_TEXT_MINUTES = 0.8
# Enough for images of 64 pixels, with a fifth of the pixels of 224.
_FEATURES_SIZE = 96
# Most texts of other kinds name another color of the petals: the color of the
# center is learned from those that do not.
_MISMATCH_CANDIDATES = 8
# A caption leaves attributes out, which the mean of four seldom does.
_CAPTIONS_PER_IMAGE = 4
_NUM_EVALUATED = 500
_GRID_ROWS, _GRID_COLUMNS = 10, 6


def add_parser(subparsers: Subparsers) -> None:
    """Adds `demo` to the program's parser."""
    parser = subparsers.add_parser(
        "demo",
        help="train on rendered flowers, from nothing to images of captions",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs everything once, with nothing to download: renders\n"
        f"{_NUM_IMAGES:,} captioned flowers, trains a text encoder for about "
        "a minute and\na GAN for --minutes, generates images "
        "from captions of unseen kinds of flowers,\nand measures how often "
        "they show what the caption says.",
    )
    parser.add_argument(
        "--minutes",
        type=positive_number,
        default=5.0,
        metavar="M",
        help="how long to train the GAN (default: 5)",
    )
    parser.add_argument(
        "--out",
        default="runs/demo",
        metavar="DIR",
        help="folder to make: data, text encoder and GAN (default: runs/demo)",
    )
    parser.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> None:
    from keras_t2i.applications.efficientnet_lite import EfficientNetLite0
    from keras_t2i.applications.feature_extraction import extract_image_features
    from keras_t2i.callbacks.recording import write_grid
    from keras_t2i.datasets.blooms_source import BloomsSource
    from keras_t2i.datasets.preparation import prepare
    from keras_t2i.evaluation.generated_images import EvaluationCaptions
    from keras_t2i.metrics.pixel_measures import bloom_attribute_accuracy
    from keras_t2i.progress import show_progress
    from keras_t2i.training.entry import train
    from keras_t2i.training.model_files import load_gan
    from keras_t2i.training.run_folder import RunFolder

    out = pathlib.Path(arguments.out)
    for file, found in (
        ("data", "an earlier demo. Remove it, or name another one."),
        # It may be any run, and a demo does not resume.
        ("config.json", "a run. Name another one."),
    ):
        if (out / file).exists():
            raise ValueError(
                "--out must name a new or empty folder. Received: "
                f"{arguments.out!r}, which holds {found}"
            )
    RunFolder(out).check_free()
    data, text, gan = out / "data", out / "text", out / "gan"
    print_note("1 of 4: rendering captioned flowers")
    with show_progress("Rendering", "images") as progress:
        prepare(BloomsSource(_NUM_IMAGES), data, progress=progress)
    print_note("2 of 4: training a text encoder on them")
    with show_progress("Computing image features", "images") as progress:
        features = extract_image_features(
            EfficientNetLite0(), data, _FEATURES_SIZE, progress=progress
        )
    text_recipe = TextRecipe.from_preset("char_cnn_rnn_features").override(
        image_encoder=str(features),
        minutes=_TEXT_MINUTES,
        # With cosines, captions tell less of the number of petals.
        similarity="dot",
    )
    train(text_recipe, data=data, out=text)
    print_note("3 of 4: training a GAN")
    recipe = Recipe.from_preset("gan_int_cls_plus").override(
        minutes=arguments.minutes,
        mismatch_candidates=_MISMATCH_CANDIDATES,
        captions_per_image=_CAPTIONS_PER_IMAGE,
    )
    train(recipe, data=data, text_encoder=text, out=gan)
    print_note("4 of 4: generating from captions of unseen kinds of flowers")
    captions = EvaluationCaptions(data, "test").captions[:_NUM_EVALUATED]
    model = load_gan(gan)
    accuracy = bloom_attribute_accuracy(model.generate(captions), captions)
    grid = out / "images.png"
    write_grid(grid, model, captions[:_GRID_ROWS], _GRID_COLUMNS)
    print_result(f"run folder: {gan}")
    print_result(
        f"images that show what an unseen caption says, of {len(captions)}:"
    )
    for name, value in accuracy.items():
        print_result(f"  {name.replace('_', ' ')}: {value:.1%}")
    print_result(f"captions and images: {grid}")
