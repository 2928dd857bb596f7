"""`keras-t2i train`, `train-text` and `train-style`: the trainings."""

import argparse
import json

from keras_t2i.cli.options import Subparsers
from keras_t2i.cli.options import add_data
from keras_t2i.cli.options import add_model
from keras_t2i.cli.options import add_run
from keras_t2i.cli.options import add_seed
from keras_t2i.cli.options import options_named
from keras_t2i.cli.options import recipe_of
from keras_t2i.cli.options import whole_number
from keras_t2i.pretrained.network_files import pretrained_names
from keras_t2i.recipes.base_recipe import DURATIONS
from keras_t2i.recipes.base_recipe import presets
from keras_t2i.recipes.recipe import FINE_TUNING_MINUTES
from keras_t2i.recipes.recipe import MEASURED_SPLIT
from keras_t2i.recipes.recipe import MEASURED_STEPS
from keras_t2i.recipes.recipe import MEASURES
from keras_t2i.recipes.recipe import Recipe
from keras_t2i.recipes.recipe import StyleRecipe
from keras_t2i.recipes.recipe import TextRecipe
from keras_t2i.terminal import print_result

_GAN_PRESET = "gan_int_cls"
_TEXT_PRESET = "char_cnn_rnn_small_softmax"
# On features of a network that is given by its name.
_FEATURES_PRESET = "char_cnn_rnn_features"
# The options that change the recipe.
_GAN_OPTIONS = (
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
_TEXT_OPTIONS = (
    "preset",
    "batch_size",
    "image_encoder",
    "image_weights",
    "freeze_images",
    *DURATIONS,
    "seed",
    "tensorboard",
)


def add_train(subparsers: Subparsers) -> None:
    """Adds `train` to the program's parser."""
    parser = subparsers.add_parser(
        "train",
        help="train a GAN on a prepared data set",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Trains a GAN that generates images from captions, on all "
        "splits but test, or\nwith --keep-best on train alone. The run folder "
        "gets config.json, metrics.jsonl,\nsamples/, checkpoints/, model.keras "
        "and, with --keep-best, best.keras.\nCtrl-C ends the training "
        f"cleanly.\n\npresets:\n{_described('gan')}",
    )
    add_data(parser)
    parser.add_argument(
        "--from",
        dest="model",
        metavar="MODEL",
        help="fine-tune a trained GAN: a run folder, a .keras file, a folder "
        "of `save_to_preset`, or a name of `keras-t2i models`. Its settings, "
        "weights and text encoder are kept, and the optimizers are new. Trains "
        "for "
        f"{FINE_TUNING_MINUTES:g} minutes if no duration is given",
    )
    parser.add_argument(
        "--text-encoder",
        metavar="RUN_OR_FILE",
        help="run folder of `train-text` or of `train`, a .keras file, a "
        "folder of `save_to_preset`, a published .t7 file, or a name of "
        "`keras-t2i models`. Its embeddings of all captions are computed "
        "first, unless they are beside it already",
    )
    parser.add_argument(
        "--text-embeddings",
        metavar="PATH",
        help="embeddings of all captions, to use instead of those beside the "
        "text encoder: a folder made by `embed`, or embeddings that you have, "
        "in any layout that `embed --from` reads. Without --text-encoder, the "
        "GAN generates from embeddings alone (`generate --embeddings`)",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"settings, see above (default: {_GAN_PRESET})",
    )
    parser.add_argument(
        "--width",
        type=whole_number(at_least=1),
        metavar="N",
        help="channels of the discriminator's first convolution or, with "
        "gan_int_cls_plus, of its 32x32 map. The generator keeps its ratio to "
        "it (default: as in the preset)",
    )
    parser.add_argument(
        "--batch-size",
        type=whole_number(at_least=2),
        metavar="N",
        help="images in a step, on all devices together (default: as in the "
        "preset)",
    )
    parser.add_argument(
        "--end-to-end",
        action="store_true",
        default=None,
        help="train the text encoder too, by the discriminator's loss; without "
        "--text-encoder a new one. Each image then has one caption per step "
        "and any mismatching text, and the embeddings are not standardized, "
        "whatever the preset says",
    )
    parser.add_argument(
        "--strategy",
        choices=("none", "mirrored", "multi_worker"),
        help="mirrored: train on all GPUs of this machine. multi_worker: train "
        "on several machines, each of which runs this command, with TF_CONFIG "
        "in its environment or in a step of a SLURM job; see "
        "docs/several_devices.md (default: none)",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        help="precision of the computations; weights are always float32 "
        "(default: as in the preset, which is float32)",
    )
    parser.add_argument(
        "--keep-best",
        choices=tuple(MEASURES),
        metavar="MEASURE",
        help="keep the best model by this measure as best.keras. Trains on the "
        f"split train alone and, every {MEASURED_STEPS} steps, measures on "
        f"{MEASURED_SPLIT}: {', '.join(MEASURES)}. All are recorded in "
        "metrics.jsonl; docs/evaluation.md explains them (default: nothing is "
        "measured)",
    )
    add_seed(parser, "seed of the weights, the noise and the order of the data")
    add_run(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="train nothing: check everything, and print the recipe, the "
        "inputs and the sizes of the networks as JSON",
    )
    parser.set_defaults(run=_train)


def add_train_text(subparsers: Subparsers) -> None:
    """Adds `train-text` to the program's parser."""
    parser = subparsers.add_parser(
        "train-text",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="train a text encoder on a prepared data set",
        description="Trains a char-CNN-RNN text encoder together with an image "
        "encoder, so that\ncaptions lie close to their images. All splits but "
        f"test are used.\n\npresets:\n{_described('text_encoder')}\n\n"
        "With a preset that trains as published, an epoch has one step per "
        "class.",
    )
    add_data(parser)
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"settings, see above (default: {_TEXT_PRESET}; with features of "
        f"EfficientNet-Lite {_FEATURES_PRESET})",
    )
    parser.add_argument(
        "--batch-size",
        type=whole_number(at_least=2),
        metavar="N",
        help="images in a step. Each class has as many as the preset says, so "
        "the number of classes limits the batch (default: as in the preset)",
    )
    parser.add_argument(
        "--image-encoder",
        metavar="NAME_OR_PATH",
        help="what the text encoder learns from. small: a small convolutional "
        "network; efficientnet_lite0 or efficientnet_lite2: features of a "
        "network trained on ImageNet, which are computed once, outside of "
        "--minutes, and kept with the data set; the name of a network of "
        "keras.applications, such as MobileNetV2; or features of all images "
        "that you have computed: a .npz file with one array per image id, or "
        "any other layout that embed --from reads (default: small)",
    )
    parser.add_argument(
        "--image-weights",
        metavar="FILE",
        help="weights of the network of keras.applications, without its "
        "classifier (default: random weights)",
    )
    parser.add_argument(
        "--freeze-images",
        action="store_true",
        default=None,
        help="do not train the weights of --image-weights",
    )
    add_seed(parser, "seed of the weights and the order of the data")
    add_run(parser)
    parser.set_defaults(run=_train_text)


def add_train_style(subparsers: Subparsers) -> None:
    """Adds `train-style` to the program's parser."""
    parser = subparsers.add_parser(
        "train-style",
        help="train a style encoder to invert a GAN",
        description="Trains a style encoder for `transfer`. It finds the noise "
        "that a GAN would generate an image from: the style of the image. It "
        "learns from images that the GAN generates from the captions of a "
        "prepared data set, all splits but test, and from the real images of "
        "these captions, which the GAN must reconstruct from their styles. It "
        "is measured on captions of the test split, if there is one. The run "
        "folder gets config.json, metrics.jsonl, checkpoints/, model.keras and "
        "r_squared.json. Ctrl-C ends the training cleanly.",
    )
    add_model(parser, default=None)
    add_data(parser)
    add_run(parser, default_minutes=StyleRecipe().minutes)
    parser.set_defaults(run=_train_style)


def _described(kind: str) -> str:
    """Lists the presets of a kind, one per line."""
    known = presets(kind)
    width = max(map(len, known))
    return "\n".join(
        f"  {name:{width}} {values['description']}"
        for name, values in known.items()
    )


def _train(arguments: argparse.Namespace) -> None:
    from keras_t2i.training.entry import INPUTS
    from keras_t2i.training.entry import prepared
    from keras_t2i.training.entry import train
    from keras_t2i.training.gan_training import GANTraining
    from keras_t2i.training.model_files import fine_tuning_recipe
    from keras_t2i.training.run_folder import RunFolder
    from keras_t2i.training.workers import start_workers

    with options_named(arguments, model="from"):
        _check_preset(arguments)
        if arguments.strategy == "multi_worker":
            # Before TensorFlow loads the GAN to fine-tune.
            start_workers(arguments.strategy)
        default: str | Recipe = _GAN_PRESET
        if arguments.model is not None and not arguments.resume:
            default = fine_tuning_recipe(arguments.model)
            if arguments.text_embeddings is not None:
                # They are used as they are.
                default = default.override(end_to_end=False)
        recipe = recipe_of(Recipe, arguments, _GAN_OPTIONS, default)
        inputs = {name: getattr(arguments, name) for name in INPUTS[Recipe]}
        if arguments.dry_run:
            training = GANTraining(
                *prepared(recipe, arguments.out, inputs, arguments.resume)
            )
            plan = json.dumps(training.plan(), indent=2)
            print_result(*plan.split("\n"))
            return
        train(recipe, out=arguments.out, resume=arguments.resume, **inputs)
    print_result(f"model: {RunFolder(arguments.out).model}")


def _check_preset(arguments: argparse.Namespace) -> None:
    if arguments.preset is None:
        return
    if arguments.model is not None:
        raise ValueError(
            "`model` has settings of its own. Received: also `preset` "
            f"{arguments.preset}. Leave out one of them."
        )
    if arguments.preset in pretrained_names():
        raise ValueError(
            "`preset` must name settings to train with from the start. "
            f"Received: {arguments.preset}, a trained GAN. Fine-tune it by "
            f"`model` {arguments.preset}, or name "
            f"{Recipe.from_preset(arguments.preset).preset}."
        )


def _train_text(arguments: argparse.Namespace) -> None:
    from keras_t2i.applications.efficientnet_lite import IMAGE_NETWORKS
    from keras_t2i.training.entry import train
    from keras_t2i.training.run_folder import RunFolder

    named = arguments.image_encoder in IMAGE_NETWORKS
    preset = _FEATURES_PRESET if named else _TEXT_PRESET
    train(
        recipe_of(TextRecipe, arguments, _TEXT_OPTIONS, preset),
        out=arguments.out,
        data=arguments.data,
        resume=arguments.resume,
    )
    print_result(f"text encoder: {RunFolder(arguments.out).model}")


def _train_style(arguments: argparse.Namespace) -> None:
    from keras_t2i.training.entry import train
    from keras_t2i.training.run_folder import RunFolder
    from keras_t2i.training.style_training import UNSEEN_SPLIT
    from keras_t2i.training.style_training import measured_file

    run = RunFolder(arguments.out)
    train(
        recipe_of(StyleRecipe, arguments, (*DURATIONS, "tensorboard")),
        out=arguments.out,
        data=arguments.data,
        model=arguments.model,
        resume=arguments.resume,
    )
    print_result(f"style encoder: {run.model}")
    measured = json.loads(measured_file(run).read_text("utf-8"))
    values = measured["r_squared_per_dimension"]
    is_unseen = measured["split"] == UNSEEN_SPLIT
    kind = "unseen captions" if is_unseen else "captions trained on"
    print_result(
        f"R^2 of the noise, on {kind}: {measured['r_squared']:.3f} "
        f"({min(values):.3f} to {max(values):.3f} in the {len(values)} "
        f"dimensions, all in {measured_file(run)})"
    )
    ignored = len(measured["ignored_dimensions"])
    if ignored:
        print_result(
            f"the GAN ignores {ignored} of its {len(values)} noise "
            "dimensions, which nothing can recover"
        )
