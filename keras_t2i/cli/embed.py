"""`keras-t2i embed`: captions -> embeddings."""

import pathlib

import numpy as np

from keras_t2i.cli.model_files import load_text_encoder
from keras_t2i.cli.options import caption
from keras_t2i.cli.options import check_captions
from keras_t2i.cli.progress import show_progress
from keras_t2i.files import replace_when_whole
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.text.embeddings import extract_embeddings


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "embed",
        help="turn captions into embeddings",
        description="Embeds the captions of a prepared data set (--data), "
        "once, for all trainings on it; or captions given as arguments.",
    )
    parser.add_argument(
        "captions",
        nargs="*",
        type=caption,
        metavar="CAPTION",
        help="text to embed; quote it. Not together with --data",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="prepared data set, made by `prepare`: embeds all its captions",
    )
    parser.add_argument(
        "--text-encoder",
        required=True,
        metavar="RUN_OR_FILE",
        help="run folder of `train-text` or `train`, or a .keras file",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="PATH",
        help="with --data the folder to make, else a .npy file: float32, one "
        "row a caption",
    )
    parser.set_defaults(run=_run)


def _run(arguments):
    if bool(arguments.captions) == (arguments.data is not None):
        raise ValueError(
            "embed takes either captions or --data DIR. Received: "
            f"{len(arguments.captions)} captions and "
            + ("--data." if arguments.data else "no --data.")
        )
    if arguments.data is not None:
        encoder = load_text_encoder(arguments.text_encoder)
        with show_progress("Embedding", "images") as progress:
            extract_embeddings(encoder, arguments.data, arguments.out, progress)
        print(f"embeddings: {arguments.out}")
        return
    check_captions(arguments.captions)
    out = pathlib.Path(arguments.out)
    if out.suffix != ".npy":
        raise ValueError(
            f"--out must name a .npy file. Received: {arguments.out!r}"
        )
    encoder = load_text_encoder(arguments.text_encoder)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replace_when_whole(out) as temporary:
        with open(temporary, "wb") as file:
            np.save(file, embed_texts(encoder, arguments.captions))
    print(f"embeddings: {out}")
