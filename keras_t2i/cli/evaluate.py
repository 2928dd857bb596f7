"""`keras-t2i evaluate`: how good generated images are."""

import json
import pathlib
import sys

from keras_t2i.cli.options import whole_number
from keras_t2i.files import atomic_write

_NEAREST_FILE = "nearest.png"
_NUM_NAMED = 3
# That of `load_judge`, without what it has to import.
_DEFAULT_JUDGE = "efficientnet_lite2"


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure how good generated images are",
        description="Compares generated images with all real ones of a split, "
        "by the features of a network that the model was not trained with, and "
        "prints the figures as JSON, with those of real images beside them. "
        "docs/evaluation.md says what they mean, and what they may be compared "
        "with. Features of the data set are kept in its folder.",
    )
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument(
        "--model",
        metavar="MODEL",
        help="what generates the images: run folder of `train`, a .keras file, "
        "or whatever else `generate` takes",
    )
    group.add_argument(
        "--images",
        metavar="DIR",
        help="folder of generated images: ID.png is of the caption of the real "
        "image of that id; of several, ID_0.png, ID_1.png and so on",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        required=True,
        help="prepared data set, made by `prepare`",
    )
    parser.add_argument(
        "--split",
        default="test",
        metavar="NAME",
        help="split to compare with (default: test)",
    )
    parser.add_argument(
        "--images-per-caption",
        type=whole_number(at_least=1),
        metavar="K",
        help="images that the model generates from each caption; diversity "
        "needs two (default: 1)",
    )
    parser.add_argument(
        "--features",
        default=_DEFAULT_JUDGE,
        metavar="NAME|FILE",
        help="network that judges: efficientnet_lite2, efficientnet_lite0, a "
        "network of keras.applications, such as MobileNetV2, or a .keras file "
        "of one from images in [-1, 1] to a feature map or a vector (default: "
        f"{_DEFAULT_JUDGE})",
    )
    parser.add_argument(
        "--text-encoder",
        metavar="RUN_OR_FILE",
        help="run of `train-text` to measure R-precision by, another one than "
        "the model's own (default: R-precision is not measured)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE.json",
        help="also write the figures to this file, and nearest.png beside it: "
        "the ten images closest to a training image, with that image",
    )
    parser.set_defaults(run=_run)


def _run(arguments):
    from keras_t2i.cli.drawing_model import load_drawing_model
    from keras_t2i.evaluation.caption_match import CaptionMatch
    from keras_t2i.evaluation.full_evaluation import evaluate_images
    from keras_t2i.evaluation.generated_images import EvaluationCaptions
    from keras_t2i.evaluation.generated_images import FolderImages
    from keras_t2i.evaluation.generated_images import ModelImages
    from keras_t2i.evaluation.judge import load_judge
    from keras_t2i.progress import show_progress
    from keras_t2i.training.model_files import load_joint_embedding

    out = _checked_out(arguments.out)
    if arguments.images is not None and arguments.images_per_caption:
        raise ValueError(
            "--images-per-caption is for images that --model generates. "
            "Received: --images, where the files' names say how many there are."
        )
    captions = EvaluationCaptions(arguments.data, arguments.split)
    if arguments.images is None:
        images = ModelImages(
            load_drawing_model(arguments.model),
            captions,
            arguments.images_per_caption or 1,
            _networks_of_model(arguments.model),
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
    print(text)


def _checked_out(out):
    """Returns where to write to; an hour later would be too late."""
    if out is None:
        return None
    out = pathlib.Path(out)
    if out.suffix != ".json" or out.is_dir():
        raise ValueError(
            f"--out must name a .json file. Received: {str(out)!r}."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    return out


def _networks_of_model(model):
    """The networks that are known to have trained a model's text encoder.

    Known where the model's run, and that of its text encoder, are still there.
    """

    from keras_t2i.training.model_files import networks_of_text_encoder
    from keras_t2i.training.run_folder import options_of_run

    return networks_of_text_encoder(options_of_run(model).get("text_encoder"))


def _report_left_out(images):
    for what, names in (
        ("not named by ids of the split", images.foreign),
        ("that cannot be read", images.unreadable),
    ):
        if names:
            named = ", ".join(names[:_NUM_NAMED])
            more = ", ..." if len(names) > _NUM_NAMED else ""
            _report(f"left out {len(names)} files {what}: {named}{more}")
    if images.num_missing:
        _report(f"{images.num_missing} images of the split have no file")


def _report(line):
    print(" ".join(line.split()), file=sys.stderr)


def _write(out, text, evaluation):
    """Writes both files, or none of them."""

    from keras_t2i.plots.grids import picture_rows

    with atomic_write(out) as temporary:
        temporary.write_text(text + "\n", "utf-8")
        if evaluation.nearest_images is not None:
            figure = picture_rows(
                evaluation.nearest_images,
                left=evaluation.nearest_captions,
                above=["generated", "nearest training image"],
            )
            with atomic_write(out.with_name(_NEAREST_FILE)) as file:
                figure.savefig(file, format="png")
