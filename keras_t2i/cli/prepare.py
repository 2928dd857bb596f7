"""`keras-t2i prepare`: raw files -> a prepared data set."""

import argparse
import os
import pathlib
from typing import TYPE_CHECKING

from keras_t2i.checks import IMAGE_SIZES
from keras_t2i.cli.options import Subparsers
from keras_t2i.terminal import print_error
from keras_t2i.terminal import print_note
from keras_t2i.terminal import print_result

if TYPE_CHECKING:
    from keras_t2i.datasets.source import Source

_DATASETS = (
    *("blooms", "oxford_flowers", "cub_birds", "coco_captions"),
    "folder",
)
_DEFAULT_NUM_BLOOMS = 10_000
_MAX_SKIPPED_SHOWN = 20

_DESCRIPTION = """\
Reads images with captions and writes them as a data set to train on: TFRecord
shards and a manifest.json.

data sets:
  blooms          rendered flowers, nothing to download
  oxford_flowers  --source holds jpg/image_00001.jpg,
                  text_c10/class_00001/image_06734.txt and class lists
  cub_birds       --source holds or is the folder CUB_200_2011, as published;
                  text_c10/001.Black_footed_Albatross/*.txt (or text/...) and
                  class lists are beside it, in it, or in cvpr2016_cub or birds
                  beside it
  coco_captions   --source holds annotations/captions_train2017.json and
                  train2017/000000000009.jpg, and the same for val2017, which
                  is for testing; or those of 2014
  folder          --source holds images, with captions in captions.jsonl
                  (one {"file": "a.jpg", "captions": ["..."]} per line), in
                  captions.csv (header file,caption), in metadata.jsonl
                  (file_name and text), in captions.txt (header image,caption)
                  or in a.txt beside a.jpg (one caption per line); folders
                  called train, val and test are splits; the class of an image
                  is the sub-folder that it is in, unless all are in one

Class lists make the splits: trainclasses.txt, valclasses.txt and
testclasses.txt, or trainvalclasses.txt instead of the first two, with one class
per line. Without them, a tenth of the images is for testing. To resume after an
interruption, run the same command again."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "prepare",
        help="turn images with captions into a data set to train on",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "dataset",
        choices=_DATASETS,
        # As argparse shows choices, also in the error without one.
        metavar="{" + ",".join(_DATASETS) + "}",
        help="what to prepare, see above",
    )
    parser.add_argument(
        "--source",
        metavar="DIR",
        nargs="+",
        help="folder with the raw files (every data set but blooms); several "
        "folders become one data set",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        required=True,
        help="folder to write the prepared data set to",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        choices=IMAGE_SIZES,
        default=64,
        metavar="PIXELS",
        help="side of the square images that a model will generate: 32, 64, "
        "128 or 256. The data set keeps a margin for random crops (default: "
        "64)",
    )
    parser.add_argument(
        "--crop-to-bounding-box",
        action="store_true",
        help="cub_birds only: cut out a square around each bird, one and a "
        "half times as long as its bounding box, clipped at the image's edge",
    )
    parser.add_argument(
        "--num-images",
        type=int,
        metavar="N",
        help="blooms only: flowers to render, 80%% for training, 10%% for "
        f"validation and 10%% for testing (default: {_DEFAULT_NUM_BLOOMS})",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="S",
        help="blooms only: seed of the flowers (default: 0)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail at the first file that cannot be used, instead of skipping "
        "it",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from keras_t2i.datasets.preparation import prepare
    from keras_t2i.progress import show_progress
    from keras_t2i.tokenizers import ADVICE_ON_CHARACTERS
    from keras_t2i.tokenizers import MAX_CHARACTERS

    source = _make_source(arguments)
    for note in source.notes:
        print_note(note)
    with show_progress("Preparing", "images") as progress:
        preparation = prepare(
            source,
            arguments.out,
            image_size=arguments.image_size,
            strict=arguments.strict,
            progress=progress,
        )
    skipped = preparation.skipped
    for line in skipped[:_MAX_SKIPPED_SHOWN]:
        print_error(f"skipped {line}")
    if len(skipped) > _MAX_SKIPPED_SHOWN:
        more = len(skipped) - _MAX_SKIPPED_SHOWN
        print_error(f"skipped {more} more")
    unread = preparation.unread
    if unread.num_cut:
        print_note(
            f"cut: {unread.num_cut} captions are longer than the "
            f"{MAX_CHARACTERS} characters that text encoders read; the data "
            "set keeps them whole"
        )
    if unread.num_unknown:
        print_note(
            f"unknown: {unread.num_unknown} captions have characters outside "
            f"of the alphabet of text encoders: {unread.num_unknown_tokens} of "
            f"all {unread.num_tokens} characters; the data set keeps them"
        )
    if unread.is_most:
        print_error(
            f"warning: most characters are unknown. {ADVICE_ON_CHARACTERS}"
        )
    for name, split in preparation.manifest.splits.items():
        print_result(
            f"{name}: {split.num_images} images, {split.num_captions} captions"
        )
    if preparation.was_there:
        print_result(f"already there: {arguments.out}")
        return
    print_result(f"skipped: {preparation.num_skipped} files")
    print_result(f"prepared data set: {arguments.out}")


def _make_source(arguments: argparse.Namespace) -> "Source":
    from keras_t2i.datasets.blooms_source import BloomsSource
    from keras_t2i.datasets.coco_captions import CocoCaptions
    from keras_t2i.datasets.cub_birds import CubBirds
    from keras_t2i.datasets.folder import CaptionedFolder
    from keras_t2i.datasets.oxford_flowers import OxfordFlowers
    from keras_t2i.datasets.source import SeveralSources

    options = {}
    if arguments.crop_to_bounding_box:
        if arguments.dataset != "cub_birds":
            raise ValueError(
                "--crop-to-bounding-box is for cub_birds only. Received: "
                f"{arguments.dataset}. Leave it out."
            )
        options["crop_to_bounding_box"] = True
    if arguments.dataset == "blooms":
        if arguments.source is not None:
            raise ValueError(
                "blooms are rendered and have no --source. Received: --source "
                f"{' '.join(arguments.source)}. Leave it out."
            )
        return BloomsSource(
            _DEFAULT_NUM_BLOOMS
            if arguments.num_images is None
            else arguments.num_images,
            arguments.seed or 0,
        )
    for option in ("num_images", "seed"):
        if getattr(arguments, option) is not None:
            raise ValueError(
                f"--{option.replace('_', '-')} is for blooms only. Received: "
                f"{getattr(arguments, option)} for {arguments.dataset}. Leave "
                "it out."
            )
    if arguments.source is None:
        raise ValueError(
            f"{arguments.dataset} needs --source DIR, the folder with its raw "
            "files. Received: no --source."
        )
    source_class = {
        "oxford_flowers": OxfordFlowers,
        "cub_birds": CubBirds,
        "coco_captions": CocoCaptions,
        "folder": CaptionedFolder,
    }[arguments.dataset]
    folders = arguments.source
    if os.path.realpath(arguments.out) in map(os.path.realpath, folders):
        raise ValueError(
            "--out must be another folder than --source, whose files stay as "
            f"they are. Received: {arguments.out!r} for both."
        )
    if len(folders) == 1:
        return source_class(folders[0], **options)
    sources = {
        pathlib.Path(os.path.abspath(folder)).name: source_class(
            folder, **options
        )
        for folder in folders
    }
    if len(sources) < len(folders):
        raise ValueError(
            "Several --source need folders of different names, which their "
            f"images are called after. Received: {' '.join(folders)}. Rename "
            "one of them."
        )
    return SeveralSources(sources)
