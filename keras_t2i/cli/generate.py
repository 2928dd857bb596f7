"""`keras-t2i generate`, `interpolate` and `transfer`: captions -> images."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from keras_t2i.captions import check_captions
from keras_t2i.captions import file_name
from keras_t2i.cli.options import Subparsers
from keras_t2i.cli.options import add_captions
from keras_t2i.cli.options import add_model
from keras_t2i.cli.options import add_seed
from keras_t2i.cli.options import add_style_encoder
from keras_t2i.cli.options import add_truncation
from keras_t2i.cli.options import check_writable
from keras_t2i.cli.options import checked_out
from keras_t2i.cli.options import file_of_captions
from keras_t2i.cli.options import load_generating_model
from keras_t2i.cli.options import note_single_words
from keras_t2i.cli.options import options_named
from keras_t2i.cli.options import set_truncation
from keras_t2i.cli.options import whole_number
from keras_t2i.files import atomic_write
from keras_t2i.terminal import print_result

if TYPE_CHECKING:
    import numpy as np


def add_generate(subparsers: Subparsers) -> None:
    """Adds `generate` to the program's parser."""
    parser = subparsers.add_parser(
        "generate",
        help="generate images from captions",
        description="Generates images from captions. The same caption and seed "
        "give the same image.",
    )
    add_captions(parser, "what the image shows; quote it", nargs="*")
    parser.add_argument(
        "--embeddings",
        metavar="FILE",
        help="text embeddings to generate from, in place of captions: a .npy "
        "file with a row per image, or a .npz file with the array embeddings "
        "and, if there are any, captions, as `embed --out` writes them",
    )
    add_model(parser, may_be_served=True)
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="FILE.png: a single image as it is, several as a grid with their "
        "captions; a file that is there is replaced. A name without the suffix "
        "of an image: a folder, with one file per image (default: a new PNG "
        "file named after the first caption, in the current folder)",
    )
    parser.add_argument(
        "--num",
        type=whole_number(at_least=1),
        default=1,
        metavar="N",
        help="images per caption (default: 1)",
    )
    add_seed(parser, "image K of each caption has the seed S + K, K from 0")
    add_truncation(parser)
    parser.set_defaults(run=_generate)


def add_interpolate(subparsers: Subparsers) -> None:
    """Adds `interpolate` to the program's parser."""
    parser = subparsers.add_parser(
        "interpolate",
        help="interpolate between two captions, or between two noises",
        description="Generates images that change step by step: from one "
        "caption to another with the same noise or, with one caption, from the "
        "noise of --seed to that of --seed-to. The first and the last image "
        "are those that `generate` makes.",
    )
    add_captions(parser, "one or two captions; quote them")
    add_model(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="FILE.png: a labelled strip. FILE.gif: an animation (default: a "
        "PNG file named after the captions, in the current folder)",
    )
    parser.add_argument(
        "--steps",
        type=whole_number(at_least=2),
        default=8,
        metavar="N",
        help="images, including both ends (default: 8)",
    )
    add_seed(parser, "seed of the noise; with --seed-to, of the first image's")
    parser.add_argument(
        "--seed-to",
        type=whole_number(at_least=0),
        metavar="T",
        help="with one caption: seed of the last image's noise",
    )
    add_truncation(parser)
    parser.set_defaults(run=_interpolate)


def add_transfer(subparsers: Subparsers) -> None:
    """Adds `transfer` to the program's parser."""
    parser = subparsers.add_parser(
        "transfer",
        help="generate images from captions in the style of given images",
        description="Generates an image from each caption in the style of each "
        "given image, such as its background and pose, as far as the GAN takes "
        "these from its noise.",
    )
    add_captions(parser, "what the image shows; quote it")
    # Repeatable: an option of several values would take the captions too.
    parser.add_argument(
        "--style",
        action="append",
        required=True,
        metavar="FILE",
        help="JPEG, PNG, GIF, BMP, TIFF, WebP or PPM file of any size, of "
        "which the largest centered square is used. Can be repeated",
    )
    add_model(parser)
    add_style_encoder(parser)
    parser.add_argument(
        "--out",
        metavar="FILE.png",
        help="a grid: style images down the side, captions across (default: "
        "named after the first caption, in the current folder)",
    )
    parser.set_defaults(run=_transfer)


def _generate(arguments: argparse.Namespace) -> None:
    captions, num = arguments.captions, arguments.num
    if bool(captions) == (arguments.embeddings is not None):
        raise ValueError(
            "generate takes captions or --embeddings FILE. Received: "
            + ("both." if captions else "neither.")
        )
    check_captions(captions)
    import numpy as np
    import PIL.Image

    from keras_t2i.datasets.images import IMAGE_SUFFIXES
    from keras_t2i.plots.grids import image_grid

    out = pathlib.Path(
        arguments.out
        or file_of_captions(captions[:1] or ["embeddings"], ".png")
    )
    suffix = out.suffix.lower()
    is_other_kind = out.exists() and (suffix == ".png") == out.is_dir()
    if is_other_kind or suffix in set(IMAGE_SUFFIXES) - {".png"}:
        raise ValueError(
            "Images are written as PNG: --out must name a .png file or a "
            f"folder. Received: {arguments.out!r}."
        )
    folder = out.absolute()
    check_writable(folder.parent if suffix == ".png" else folder, out)
    note_single_words(captions)
    model = load_generating_model(arguments.model)
    set_truncation(model, arguments)
    first = arguments.seed or 0
    seeds = list(range(first, first + num))
    if arguments.embeddings is None:
        images = model.generate(
            np.repeat(captions, num).tolist(), seed=seeds * len(captions)
        )
    else:
        captions, embeddings = _read_embeddings(arguments.embeddings)
        with options_named(arguments, text_embeddings="embeddings"):
            images = model.generate_from_embeddings(
                np.repeat(embeddings, num, axis=0),
                seed=seeds * len(embeddings),
            )
    if suffix == ".png":
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(out) as temporary:
            if len(images) == 1:
                PIL.Image.fromarray(images[0]).save(temporary, "PNG")
            else:
                shape = (len(captions), num, *images.shape[1:])
                figure = image_grid(images.reshape(shape), captions)
                figure.savefig(temporary, format="png")
    else:
        out.mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(images):
            number, place = divmod(index, num)
            name = file_name(captions[number])
            file = f"{number:03d}-{name}-seed{seeds[place]}.png"
            with atomic_write(out / file) as temporary:
                PIL.Image.fromarray(image).save(temporary, "PNG")
    print_result(f"images: {out}")


def _read_embeddings(path: str) -> tuple[list[str], "np.ndarray"]:
    """Returns labels of rows, their captions if known, and embeddings."""
    import numpy as np

    from keras_t2i.formats.array_files import NpzFile
    from keras_t2i.formats.array_files import read_npy

    captions = np.empty(0)
    if path.lower().endswith(".npz"):
        file = NpzFile(path)
        if "embeddings" not in file.names:
            raise ValueError(
                "--embeddings must name a .npz file with the array embeddings. "
                f"Received: {path!r}, with {', '.join(file.names) or 'none'}."
            )
        embeddings = file.read("embeddings")
        if "captions" in file.names:
            captions = file.read("captions")
    else:
        embeddings = read_npy(pathlib.Path(path).read_bytes(), path)
    if embeddings.dtype.kind != "f" or embeddings.ndim not in (1, 2):
        raise ValueError(
            "--embeddings must hold floating point numbers of shape (num_texts,"
            f" dim). Received: {path!r}, {embeddings.dtype} of shape "
            f"{embeddings.shape}."
        )
    embeddings = np.atleast_2d(embeddings)
    labels = [f"row {row}" for row in range(len(embeddings))]
    if captions.shape == embeddings.shape[:1]:
        labels = [
            caption.decode("utf-8", "replace")
            if isinstance(caption, bytes)
            else str(caption)
            for caption in captions.tolist()
        ]
    return labels, embeddings


def _interpolate(arguments: argparse.Namespace) -> None:
    captions = arguments.captions
    # Two captions, or one and a second seed.
    if len(captions) + (arguments.seed_to is not None) != 2:
        raise ValueError(
            "interpolate takes two captions, or one caption and --seed-to. "
            f"Received: {len(captions)} captions and "
            + ("no --seed-to." if arguments.seed_to is None else "--seed-to.")
        )
    check_captions(captions)
    out = checked_out(
        arguments.out or file_of_captions(captions, ".png"), ".png", ".gif"
    )
    from keras_t2i.plots.grids import MAX_GIF_IMAGES
    from keras_t2i.plots.grids import animated_gif
    from keras_t2i.plots.grids import interpolation_strips
    from keras_t2i.training.model_files import load_gan

    is_gif = out.suffix.lower() == ".gif"
    if is_gif and arguments.steps > MAX_GIF_IMAGES:
        raise ValueError(
            f"--steps must be at most {MAX_GIF_IMAGES} for a GIF, which cannot "
            f"last longer. Received: {arguments.steps}"
        )
    gan = load_gan(arguments.model)
    set_truncation(gan, arguments)
    seed, seed_to = arguments.seed or 0, arguments.seed_to
    if seed_to is None:
        labels = captions
        images = gan.interpolate(
            captions[0], captions[1], steps=arguments.steps, seed=seed
        )
    else:
        images = gan.interpolate_noise(
            captions, seed, seed_to, steps=arguments.steps
        )
        # The seed first, since long labels are cut off.
        labels = [f"seed {number}: {captions[0]}" for number in (seed, seed_to)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as temporary:
        if is_gif:
            temporary.write_bytes(animated_gif(images[0]))
        else:
            figure = interpolation_strips(images, labels[:1], labels[1:])
            figure.savefig(temporary, format="png")
    print_result(f"images: {out}")


def _transfer(arguments: argparse.Namespace) -> None:
    check_captions(arguments.captions)
    out = checked_out(
        arguments.out or file_of_captions(arguments.captions[:1], ".png"),
        ".png",
    )
    note_single_words(arguments.captions)
    import numpy as np

    from keras_t2i.datasets.images import read_square
    from keras_t2i.plots.grids import transfer_grid
    from keras_t2i.reading import UnusableFileError
    from keras_t2i.training.model_files import load_gan
    from keras_t2i.training.model_files import load_style_encoder_for

    # First: a GAN that is not there has no style encoder, either.
    gan = load_gan(arguments.model)
    style_encoder = load_style_encoder_for(
        arguments.model, arguments.style_encoder
    )
    if style_encoder is None:
        raise ValueError(
            "--style-encoder must name a run of train-style, since the GAN "
            f"comes without one. Received: --model {arguments.model} alone. "
            f"Train one by `keras-t2i train-style --model {arguments.model}`."
        )
    try:
        styles = np.stack(
            [read_square(f, gan.image_size) for f in arguments.style]
        )
    except UnusableFileError as error:
        raise ValueError(
            "--style must name a JPEG, PNG, GIF, BMP, TIFF, WebP or PPM file. "
            f"Received: {error}"
        ) from None
    images = gan.transfer_style(styles, arguments.captions, style_encoder)
    figure = transfer_grid(styles, images, arguments.captions)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as temporary:
        figure.savefig(temporary, format="png")
    print_result(f"images: {out}")
