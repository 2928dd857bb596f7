"""`keras-t2i train`: a prepared data set and a text encoder -> a GAN."""

import argparse
import json

from keras_t2i.cli.options import add_duration
from keras_t2i.cli.options import add_seed
from keras_t2i.cli.options import whole_number
from keras_t2i.cli.recipe_options import add_resume
from keras_t2i.cli.recipe_options import add_tensorboard
from keras_t2i.cli.recipe_options import options_named
from keras_t2i.cli.recipe_options import recipe_of
from keras_t2i.recipes.base_recipe import DURATIONS
from keras_t2i.recipes.presets import presets
from keras_t2i.recipes.recipe import MEASURED_SPLIT
from keras_t2i.recipes.recipe import MEASURED_STEPS
from keras_t2i.recipes.recipe import MEASURES
from keras_t2i.recipes.recipe import Recipe

_DEFAULT_PRESET = "gan_int_cls"
# Of the recipe.
_OPTIONS = (
    "preset",
    "width",
    "batch_size",
    *DURATIONS,
    "end_to_end",
    "strategy",
    "precision",
    "keep_best",
    "seed",
    "tensorboard",
)


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    descriptions = "\n".join(
        f"  {name:16} {value['description']}"
        for name, value in presets("gan").items()
    )
    parser = subparsers.add_parser(
        "train",
        help="train a GAN on a prepared data set",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Trains a GAN that draws pictures from sentences. All "
        "splits but test are used,\nwith --keep-best only train. The run "
        "folder gets config.json, metrics.jsonl,\nsamples/, checkpoints/, "
        "model.keras and, with --keep-best, best.keras. Ctrl-C ends\n"
        f"the training in order.\n\npresets:\n{descriptions}",
    )
    parser.add_argument(
        "--data", metavar="DIR", help="prepared data set, made by `prepare`"
    )
    parser.add_argument(
        "--text-encoder",
        metavar="RUN_OR_FILE",
        help="run folder of `train-text`, or a .keras file. Its embeddings of "
        "all captions are extracted first, where they are not beside it yet",
    )
    parser.add_argument(
        "--text-embeddings",
        metavar="DIR",
        help="embeddings of all captions, made by `embed`, to train on in "
        "place of those beside the text encoder",
    )
    parser.add_argument(
        "--out", metavar="RUN", required=True, help="run folder to make"
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"settings, see above (default: {_DEFAULT_PRESET})",
    )
    parser.add_argument(
        "--width",
        type=whole_number(at_least=1),
        metavar="N",
        help="channels of the discriminator's first convolution (with "
        "gan_int_cls_plus, of its map of 32x32); the generator keeps its ratio "
        "to it (default: as the preset says)",
    )
    parser.add_argument(
        "--batch-size",
        type=whole_number(at_least=2),
        metavar="N",
        help="images in a step, on all devices together (default: as the "
        "preset says)",
    )
    add_duration(parser)
    parser.add_argument(
        "--end-to-end",
        action="store_true",
        default=None,
        help="train the text encoder along, by the discriminator's loss; "
        "without --text-encoder a new one. One caption an image, any "
        "mismatching text: what a preset says of them needs embeddings",
    )
    parser.add_argument(
        "--strategy",
        choices=("none", "mirrored"),
        help="mirrored: all GPUs of this machine (default: none)",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        help="of the computations; weights stay float32 (default: as the "
        "preset says, float32)",
    )
    parser.add_argument(
        "--keep-best",
        choices=tuple(MEASURES),
        metavar="MEASURE",
        help=f"train on the split train alone and, every {MEASURED_STEPS} "
        f"steps, measure on {MEASURED_SPLIT}: {', '.join(MEASURES)}, all "
        "recorded in metrics.jsonl. The model that is the best by MEASURE is "
        "kept as best.keras. docs/evaluation.md says what they mean (default: "
        "nothing is measured)",
    )
    add_seed(parser, "seed of weights, noise and the order of data")
    add_tensorboard(parser)
    add_resume(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything, print the recipe, the inputs and the sizes of "
        "the networks as JSON, and train nothing",
    )
    parser.set_defaults(run=_run)


def _run(arguments):
    from keras_t2i.training.entry import INPUTS
    from keras_t2i.training.entry import prepared
    from keras_t2i.training.entry import train
    from keras_t2i.training.gan_training import GANTraining
    from keras_t2i.training.run_folder import RunFolder

    with options_named(arguments):
        recipe = recipe_of(Recipe, arguments, _OPTIONS, _DEFAULT_PRESET)
        inputs = {name: getattr(arguments, name) for name in INPUTS[Recipe]}
        if arguments.dry_run:
            started = prepared(recipe, arguments.out, inputs, arguments.resume)
            print(json.dumps(GANTraining(*started).plan(), indent=2))
            return
        train(recipe, out=arguments.out, resume=arguments.resume, **inputs)
    print(f"model: {RunFolder(arguments.out).model}")
