"""`keras-t2i train-text`: a prepared data set -> a text encoder."""

import argparse

from keras_t2i.cli.options import add_duration
from keras_t2i.cli.options import add_seed
from keras_t2i.cli.options import whole_number
from keras_t2i.cli.recipe_options import add_resume
from keras_t2i.cli.recipe_options import add_tensorboard
from keras_t2i.cli.recipe_options import options_named
from keras_t2i.cli.recipe_options import recipe_of
from keras_t2i.recipes.base_recipe import DURATIONS
from keras_t2i.recipes.presets import presets
from keras_t2i.recipes.text_recipe import TextRecipe

_DEFAULT_PRESET = "char_cnn_rnn_small_softmax"
# On features of a network that is named.
_FEATURES_PRESET = "char_cnn_rnn_features"
# Of the recipe.
_OPTIONS = (
    "preset",
    "batch_size",
    "image_encoder",
    "image_weights",
    "freeze_images",
    *DURATIONS,
    "seed",
    "tensorboard",
)


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    descriptions = "\n".join(
        f"  {name:26} {value['description']}"
        for name, value in presets("text_encoder").items()
    )
    parser = subparsers.add_parser(
        "train-text",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="train a text encoder on a prepared data set",
        description="Trains a char-CNN-RNN text encoder, and an image "
        "encoder along with it,\nuntil captions lie close to their images. All "
        f"splits but test are used.\n\npresets:\n{descriptions}\n\n"
        "An epoch of what is trained as published has a step for each class.",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="prepared data set, made by `prepare`",
    )
    parser.add_argument(
        "--out", metavar="RUN", required=True, help="run folder to make"
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"settings, see above (default: {_DEFAULT_PRESET}; with features "
        f"of EfficientNet-Lite {_FEATURES_PRESET})",
    )
    parser.add_argument(
        "--batch-size",
        type=whole_number(at_least=2),
        metavar="N",
        help="images in a step, as many of each class as the preset says, so "
        "no more than classes allow (default: as the preset says)",
    )
    parser.add_argument(
        "--image-encoder",
        metavar="NAME_OR_PATH",
        help="small, a convolutional network; efficientnet_lite0 or _lite2, "
        "features of a network trained on ImageNet, which are computed once "
        "and kept with the data set (the time is not part of --minutes); a "
        "network of keras.applications, such as MobileNetV2; or features of "
        "all images, computed beforehand: a .npz file with an array for each "
        "image id, or whatever else embed --from reads (default: small)",
    )
    parser.add_argument(
        "--image-weights",
        metavar="FILE",
        help="weights of the network of keras.applications, without its "
        "classifier (default: random ones)",
    )
    parser.add_argument(
        "--freeze-images",
        action="store_true",
        default=None,
        help="leave those weights as they are",
    )
    add_duration(parser)
    add_seed(parser, "seed of the initial weights and of the order of data")
    add_tensorboard(parser)
    add_resume(parser)
    parser.set_defaults(run=_run)


def _run(arguments):
    from keras_t2i.training.entry import train
    from keras_t2i.training.image_networks import IMAGE_NETWORKS
    from keras_t2i.training.run_folder import RunFolder

    default_preset = (
        _FEATURES_PRESET
        if arguments.image_encoder in IMAGE_NETWORKS
        else _DEFAULT_PRESET
    )
    with options_named(arguments):
        recipe = recipe_of(TextRecipe, arguments, _OPTIONS, default_preset)
        train(
            recipe,
            out=arguments.out,
            data=arguments.data,
            resume=arguments.resume,
        )
    print(f"text encoder: {RunFolder(arguments.out).model}")
