"""`keras-t2i interpolate`: the way from one picture to another."""

import pathlib

from keras_t2i.captions import check_captions
from keras_t2i.cli.options import add_seed
from keras_t2i.cli.options import caption
from keras_t2i.cli.options import whole_number
from keras_t2i.files import atomic_write


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "interpolate",
        help="draw the way from one caption, or one noise, to another",
        description="Draws the way from one caption to another with the same "
        "noise; or, with one caption, from the noise of --seed to that of "
        "--seed-to. The ends are what `generate` draws.",
    )
    parser.add_argument(
        "captions",
        nargs="+",
        type=caption,
        metavar="CAPTION",
        help="one or two; quote them",
    )
    parser.add_argument(
        "--model",
        required=True,
        metavar="MODEL",
        help="run folder of `train`, a .keras file, or the name of a preset "
        "with weights, such as gan_int_cls_plus_flowers",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="FILE.png: a labelled strip; FILE.gif: an animation",
    )
    parser.add_argument(
        "--steps",
        type=whole_number(at_least=2),
        default=8,
        metavar="N",
        help="pictures, both ends included (default: 8)",
    )
    add_seed(parser, "seed of the noise, with --seed-to of the first picture's")
    parser.add_argument(
        "--seed-to",
        type=whole_number(at_least=0),
        metavar="T",
        help="with one caption: seed of the last picture's noise",
    )
    parser.set_defaults(run=_run)


def _run(arguments):
    from keras_t2i.plots.animation import animated_gif
    from keras_t2i.plots.grids import interpolation_strips
    from keras_t2i.training.model_files import load_gan

    captions = arguments.captions
    # Two captions, or one and a second seed.
    if len(captions) + (arguments.seed_to is not None) != 2:
        raise ValueError(
            "interpolate takes two captions, or one caption and --seed-to. "
            f"Received: {len(captions)} captions and "
            + ("no --seed-to." if arguments.seed_to is None else "--seed-to.")
        )
    check_captions(captions)
    out = pathlib.Path(arguments.out)
    if out.suffix.lower() not in (".png", ".gif"):
        raise ValueError(
            f"--out must name a .png or .gif file. Received: {arguments.out!r}"
        )
    gan = load_gan(arguments.model)
    seed, steps = arguments.seed or 0, arguments.steps
    if arguments.seed_to is None:
        ways = gan.interpolate(*captions, steps=steps, seed=seed)
        labels = captions
    else:
        ways = gan.interpolate_noise(
            captions, seed, arguments.seed_to, steps=steps
        )
        labels = [
            # First: what is too long is cut off.
            f"seed {number}: {captions[0]}"
            for number in (seed, arguments.seed_to)
        ]
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as temporary:
        if out.suffix.lower() == ".gif":
            temporary.write_bytes(animated_gif(ways[0]))
        else:
            figure = interpolation_strips(ways, labels[:1], labels[1:])
            figure.savefig(temporary, format="png")
    print(f"pictures: {out}")
