"""`keras-t2i generate`: captions -> pictures."""

import pathlib
import re

from keras_t2i.captions import check_captions
from keras_t2i.cli.options import add_seed
from keras_t2i.cli.options import caption
from keras_t2i.cli.options import whole_number
from keras_t2i.files import atomic_write


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "generate",
        help="draw pictures from captions",
        description="Draws pictures from captions. The same caption and seed "
        "give the same picture.",
    )
    parser.add_argument(
        "captions",
        nargs="+",
        type=caption,
        metavar="CAPTION",
        help="what the picture shows; quote it",
    )
    parser.add_argument(
        "--model",
        required=True,
        metavar="MODEL",
        help="run folder of `train`, a .keras file, the name of a preset with "
        "weights, such as gan_int_cls_plus_flowers, the folder of an exported "
        "model, or the address of a served one, "
        "http://HOST:8501/v1/models/NAME (or grpc://HOST:8500/...)",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="PATH",
        help="FILE.png: one picture as it is, several as a grid with their "
        "captions; any other name: a folder, with a file for each picture",
    )
    parser.add_argument(
        "--num",
        type=whole_number(at_least=1),
        default=1,
        metavar="N",
        help="pictures a caption (default: 1)",
    )
    add_seed(parser, "picture K of each caption has the seed S + K, K from 0")
    parser.set_defaults(run=_run)


def _run(arguments):
    import numpy as np
    import PIL.Image

    from keras_t2i.cli.drawing_model import load_drawing_model

    check_captions(arguments.captions)
    out = pathlib.Path(arguments.out)
    model = load_drawing_model(arguments.model)
    first = arguments.seed or 0
    seeds = [first + number for number in range(arguments.num)]
    captions = np.repeat(arguments.captions, arguments.num)
    pictures = model.generate(
        captions.tolist(), seed=seeds * len(arguments.captions)
    )
    if out.suffix.lower() == ".png":
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(out) as temporary:
            _write_file(temporary, pictures, arguments)
    else:
        out.mkdir(parents=True, exist_ok=True)
        for index, picture in enumerate(pictures):
            number, place = divmod(index, arguments.num)
            name = _file_name(arguments.captions[number])
            file = f"{number:03d}-{name}-seed{seeds[place]}.png"
            with atomic_write(out / file) as temporary:
                PIL.Image.fromarray(picture).save(temporary, "PNG")
    print(f"pictures: {out}")


def _write_file(path, pictures, arguments):
    import PIL.Image

    from keras_t2i.plots.grids import image_grid

    if len(pictures) == 1:
        PIL.Image.fromarray(pictures[0]).save(path, "PNG")
        return
    shape = (len(arguments.captions), arguments.num, *pictures.shape[1:])
    figure = image_grid(pictures.reshape(shape), arguments.captions)
    figure.savefig(path, format="png")


def _file_name(caption):
    words = re.sub(r"[^a-z0-9]+", "-", caption.lower()).strip("-")
    return words[:40].strip("-") or "caption"
