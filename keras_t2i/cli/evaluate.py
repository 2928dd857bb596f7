"""`keras-t2i evaluate`, `evaluate-text` and `models`: how good models are."""

import argparse
import json
import pathlib
from typing import TYPE_CHECKING

from keras_t2i.cli.options import DEFAULT_MODEL
from keras_t2i.cli.options import Subparsers
from keras_t2i.cli.options import add_data
from keras_t2i.cli.options import add_truncation
from keras_t2i.cli.options import checked_out
from keras_t2i.cli.options import load_generating_model
from keras_t2i.cli.options import set_truncation
from keras_t2i.cli.options import whole_number
from keras_t2i.files import atomic_write
from keras_t2i.terminal import print_error
from keras_t2i.terminal import print_result

if TYPE_CHECKING:
    from keras_t2i.evaluation.full_evaluation import Evaluation
    from keras_t2i.evaluation.generated_images import FolderImages

_NEAREST_FILE = "nearest.png"
_NUM_NAMED = 3
# That of `load_judge`, which takes long to import.
_DEFAULT_JUDGE = "efficientnet_lite2"
# What `models` lists.
_SCORES = (
    ("Frechet distance", "frechet_distance", 1),
    ("kernel distance x 1000", "kernel_distance", 1000),
)
_ATTRIBUTES = ("petal_color", "center_color", "petal_shape", "petal_count")


def add_evaluate(subparsers: Subparsers) -> None:
    """Adds `evaluate` to the program's parser."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure how good generated images are",
        description="Compares generated images with all real ones of a split, "
        "by the features of a network that the model was not trained with. "
        "Prints the measures as JSON, beside those of real images. "
        "docs/evaluation.md explains them. The features of the data set are "
        "kept in its folder.",
    )
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument(
        "--model",
        metavar="MODEL",
        help="model that generates the images: run folder of `train`, a .keras "
        "file, or anything else that `generate` takes",
    )
    group.add_argument(
        "--images",
        metavar="DIR",
        help="folder of generated images. ID.png is generated from the caption "
        "of the real image with that id; several are ID_0.png, ID_1.png and so "
        "on",
    )
    add_data(parser, required=True)
    _add_split(parser, "split to compare with")
    parser.add_argument(
        "--images-per-caption",
        type=whole_number(at_least=1),
        metavar="K",
        help="images to generate per caption; the measure of diversity needs "
        "at least two (default: 1)",
    )
    add_truncation(parser)
    parser.add_argument(
        "--features",
        default=_DEFAULT_JUDGE,
        metavar="NAME|FILE",
        help="network that judges: efficientnet_lite2, efficientnet_lite0, a "
        "network of keras.applications, such as MobileNetV2, or a .keras file "
        "of a network from images in [-1, 1] to a feature map or vector "
        f"(default: {_DEFAULT_JUDGE})",
    )
    parser.add_argument(
        "--text-encoder",
        metavar="RUN_OR_FILE",
        help="run of `train-text`, not the model's own, to measure R-precision "
        "by (default: R-precision is not measured)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE.json",
        help="also write the measures to this file, and nearest.png beside it: "
        "the ten generated images closest to a training image, each with it",
    )
    parser.set_defaults(run=_evaluate)


def add_evaluate_text(subparsers: Subparsers) -> None:
    """Adds `evaluate-text` to the program's parser."""
    parser = subparsers.add_parser(
        "evaluate-text",
        help="measure what a trained text encoder understands",
        description="Prints measures of the images and captions of a split as "
        "JSON. zero_shot_accuracy: how often the mean caption closest to an "
        "image is that of its class (zero-shot if the classes were not trained "
        "on). precision_at_50: the share of the 50 images closest to a class "
        "that belong to it. recall_at_1 and so on: how often a caption's own "
        "image is among the 1, 5 or 10 images that fit it best. On blooms also "
        "how well a linear classifier reads each attribute from captions, and "
        "how close the mean of two captions' embeddings is to the caption in "
        "between.",
    )
    add_data(parser, required=True)
    parser.add_argument(
        "--text-encoder",
        metavar="RUN_OR_FILE",
        required=True,
        help="run folder of `train-text`, a .keras file of one, or a .t7 file "
        "of Reed et al. (2016), for which features are the embeddings of the "
        "images",
    )
    parser.add_argument(
        "--image-features",
        metavar="PATH",
        help="features of the split's images, for an encoder trained with "
        "features; the first one if there are several views (default: features "
        "of the network that the encoder was trained with, if it has a name)",
    )
    _add_split(parser, "split to measure on")
    parser.set_defaults(run=_evaluate_text)


def add_models(subparsers: Subparsers) -> None:
    """Adds `models` to the program's parser."""
    parser = subparsers.add_parser(
        "models",
        help="list the trained models that come with the library",
        description="Lists the trained models that come with the library. "
        "Their names can be given as --model. The Frechet distance and the "
        "kernel distance (times 1000) compare generated images with those of "
        "unseen classes. Lower is better; the number in brackets is what two "
        "halves of the real images reach. For rendered flowers, it also lists "
        "how many images show what their caption says.",
    )
    parser.set_defaults(run=_models)


def _add_split(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--split",
        default="test",
        metavar="NAME",
        help=f"{what} (default: test)",
    )


def _evaluate(arguments: argparse.Namespace) -> None:
    from keras_t2i.evaluation.full_evaluation import evaluate_images
    from keras_t2i.evaluation.generated_images import EvaluationCaptions
    from keras_t2i.evaluation.generated_images import FolderImages
    from keras_t2i.evaluation.generated_images import ModelImages
    from keras_t2i.evaluation.judge import CaptionMatch
    from keras_t2i.evaluation.judge import load_judge
    from keras_t2i.evaluation.quick_evaluation import check_num_images
    from keras_t2i.progress import show_progress
    from keras_t2i.training.model_files import load_joint_embedding
    from keras_t2i.training.model_files import networks_learned_from

    out = None
    if arguments.out is not None:
        # Checked first, since the evaluation may take an hour.
        out = checked_out(arguments.out, ".json")
    if arguments.images is not None and arguments.images_per_caption:
        raise ValueError(
            "--images-per-caption is for images that --model generates. "
            "Received: --images, where the names of the files say how many "
            "there are."
        )
    if arguments.images is not None and arguments.truncation is not None:
        raise ValueError(
            "--truncation is for images that --model generates. Received: "
            "--images."
        )
    captions = EvaluationCaptions(arguments.data, arguments.split)
    check_num_images("real", len(captions))
    images: ModelImages | FolderImages
    if arguments.images is None:
        model = load_generating_model(arguments.model)
        set_truncation(model, arguments)
        images = ModelImages(
            model,
            captions,
            arguments.images_per_caption or 1,
            networks_learned_from(arguments.model),
        )
    else:
        images = FolderImages(arguments.images, captions.ids)
        _report_left_out(images)
    judge = load_judge(arguments.features)
    caption_match = None
    if arguments.text_encoder is not None:
        caption_match = CaptionMatch(
            load_joint_embedding(arguments.text_encoder), judge
        )
    evaluation = evaluate_images(
        images, captions, judge, caption_match, show_progress
    )
    text = json.dumps(evaluation.results, indent=2)
    if out is not None:
        _write(out, text, evaluation)
    print_result(*text.split("\n"))


def _report_left_out(images: "FolderImages") -> None:
    for what, names in (
        ("not named by ids of the split", images.foreign),
        ("that cannot be read", images.unreadable),
    ):
        if names:
            named = ", ".join(names[:_NUM_NAMED])
            more = ", ..." if len(names) > _NUM_NAMED else ""
            print_error(f"left out {len(names)} files {what}: {named}{more}")
    if images.num_missing:
        print_error(f"{images.num_missing} images of the split have no file")


def _write(out: pathlib.Path, text: str, evaluation: "Evaluation") -> None:
    """Writes both files, or none of them."""
    from keras_t2i.plots.grids import image_rows

    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as temporary:
        temporary.write_text(text + "\n", "utf-8")
        if evaluation.nearest_images is not None:
            figure = image_rows(
                evaluation.nearest_images,
                left=evaluation.nearest_captions,
                above=["generated", "nearest training image"],
            )
            with atomic_write(out.with_name(_NEAREST_FILE)) as file:
                figure.savefig(file, format="png")


def _evaluate_text(arguments: argparse.Namespace) -> None:
    from keras_t2i.cli.text_evaluation import evaluate_text
    from keras_t2i.training.model_files import load_joint_embedding

    results = evaluate_text(
        load_joint_embedding(arguments.text_encoder),
        arguments.data,
        arguments.split,
        arguments.image_features,
    )
    print_result(*json.dumps(results, indent=2).split("\n"))


def _models(arguments: argparse.Namespace) -> None:
    from keras_t2i.pretrained.network_files import pretrained_description
    from keras_t2i.pretrained.network_files import pretrained_names
    from keras_t2i.pretrained.network_files import pretrained_size

    for name in pretrained_names():
        description = pretrained_description(name)
        measures = description["evaluation"]
        size, real = measures["image_size"], measures["real"]
        default = " (default)" if name == DEFAULT_MODEL else ""
        print_result(f"{name}{default}")
        print_result(f"  {description['description']}")
        print_result(f"  size: {pretrained_size(name) / 1e6:.1f} MB")
        print_result(f"  images: {size}x{size} pixels")
        print_result(f"  data: {measures['data']}")
        for title, key, factor in _SCORES:
            score, best = factor * measures[key], factor * real[key]
            print_result(f"  {title}: {score:.1f} ({best:.1f})")
        for attribute in _ATTRIBUTES:
            if measures.get(attribute) is not None:
                share = f"{measures[attribute]:.1%}"
                print_result(f"  {attribute.replace('_', ' ')}: {share}")
