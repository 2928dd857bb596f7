"""`keras-t2i models`: the trained models that come with the library."""

import argparse

from keras_t2i.cli.options import DEFAULT_MODEL
from keras_t2i.cli.options import Subparsers
from keras_t2i.terminal import print_result

_SCORES = (
    ("Frechet distance", "frechet_distance", 1),
    ("kernel distance x 1000", "kernel_distance", 1000),
)
_ATTRIBUTES = ("petal_color", "center_color", "petal_shape", "petal_count")


def add_parser(subparsers: Subparsers) -> None:
    """Adds the command to the program's parser."""
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
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
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
