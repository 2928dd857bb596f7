"""`keras-t2i transfer`: captions in the styles of given pictures."""

import pathlib

from keras_t2i.captions import check_captions
from keras_t2i.cli.options import caption
from keras_t2i.files import atomic_write


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "transfer",
        help="draw captions in the style of given pictures",
        description="Draws each caption in the style of each given picture: "
        "with its background and its pose, as far as the GAN takes them from "
        "its noise.",
    )
    parser.add_argument(
        "captions",
        nargs="+",
        type=caption,
        metavar="CAPTION",
        help="what the pictures show; quote it",
    )
    # Repeatable: an option of several values would take the captions too.
    parser.add_argument(
        "--style",
        action="append",
        required=True,
        metavar="FILE",
        help="JPEG, PNG, GIF, BMP, TIFF, WebP or PPM file of any size; the "
        "largest centered square of it is used. Can be given several times",
    )
    parser.add_argument(
        "--model",
        required=True,
        metavar="MODEL",
        help="run folder of `train`, a .keras file, or the name of a preset "
        "with weights, such as gan_int_cls_plus_flowers",
    )
    parser.add_argument(
        "--style-encoder",
        required=True,
        metavar="RUN_OR_FILE",
        help="run folder of `train-style` on this model, or a .keras file",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE.png",
        help="a grid: style pictures down the side, captions across",
    )
    parser.set_defaults(run=_run)


def _run(arguments):
    import numpy as np

    from keras_t2i.plots.grids import transfer_grid
    from keras_t2i.training.model_files import load_gan
    from keras_t2i.training.model_files import load_style_encoder

    check_captions(arguments.captions)
    out = pathlib.Path(arguments.out)
    if out.suffix.lower() != ".png":
        raise ValueError(
            f"--out must name a .png file. Received: {arguments.out!r}"
        )
    gan = load_gan(arguments.model)
    styles = np.stack(
        [_style(file, gan.image_size) for file in arguments.style]
    )
    style_encoder = load_style_encoder(arguments.style_encoder)
    pictures = gan.transfer_style(styles, arguments.captions, style_encoder)
    figure = transfer_grid(styles, pictures, arguments.captions)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as temporary:
        figure.savefig(temporary, format="png")
    print(f"pictures: {out}")


def _style(file, side):
    from keras_t2i.datasets.images import read_square
    from keras_t2i.datasets.source import UnusableFileError

    try:
        return read_square(file, side)
    except UnusableFileError as error:
        raise ValueError(
            "--style must name a JPEG, PNG, GIF, BMP, TIFF, WebP or PPM file. "
            f"Received: {error}"
        ) from None
