"""`keras-t2i export` and `serve`: a run folder -> a SavedModel -> a server."""

import argparse
import os
import pathlib
import shlex
import signal
import sys
from typing import NoReturn

from keras_t2i.cli.options import Subparsers
from keras_t2i.cli.options import add_model
from keras_t2i.cli.options import add_style_encoder
from keras_t2i.cli.options import add_truncation
from keras_t2i.cli.options import options_named
from keras_t2i.cli.options import set_truncation
from keras_t2i.cli.options import whole_number
from keras_t2i.terminal import print_note
from keras_t2i.terminal import print_result

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_export(subparsers: Subparsers) -> None:
    """Adds `export` to the program's parser."""
    parser = subparsers.add_parser(
        "export",
        help="write a SavedModel for TensorFlow Serving",
        description="Writes a SavedModel that takes texts and returns PNG "
        "images. Beside it are the configuration of TensorFlow Serving and a "
        "README with requests to copy.",
    )
    add_model(parser)
    add_style_encoder(
        parser,
        "The SavedModel can then also generate in the style of a given image",
    )
    add_truncation(parser)
    parser.add_argument(
        "--half-precision",
        action="store_true",
        help="store the weights in half precision, in half the space. The "
        "server computes in float32 all the same",
    )
    parser.add_argument(
        "--max-style-pixels",
        type=whole_number(at_least=1),
        metavar="N",
        help="treat style images of more pixels as plain gray. A server needs "
        "about 20 bytes for each pixel (default: 16777216, 16 megapixels)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR/NAME",
        help="folder of the model. NAME is the name it is served by; each "
        "version is a folder in it (default: saved_models/ and the last part "
        "of --model)",
    )
    parser.add_argument(
        "--version",
        type=whole_number(at_least=1),
        metavar="N",
        help="version to write. Servers answer from the highest (default: one "
        "more than the highest version there)",
    )
    parser.set_defaults(run=_export)


def add_serve(subparsers: Subparsers) -> None:
    """Adds `serve` to the program's parser."""
    parser = subparsers.add_parser(
        "serve",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="run TensorFlow Serving with exported models",
        description="Runs TensorFlow Serving with all models of a folder until "
        "Ctrl-C. Prints the\naddresses of the models when they are "
        "available.\n\nThe server is the program that $TF_SERVING_BINARY "
        "names, else\ntensorflow_model_server on the PATH, else Docker's image "
        "tensorflow/serving,\nwhich can only be reached from this machine.",
    )
    parser.add_argument(
        "--models",
        default="saved_models",
        metavar="DIR",
        help="folder of models written by `export` (default: saved_models)",
    )
    parser.add_argument(
        "--port",
        type=whole_number(at_least=2),
        default=8501,
        metavar="N",
        help="port of the REST API; gRPC has the port below (default: 8501)",
    )
    parser.add_argument(
        "--print",
        action="store_true",
        help="run, load and write nothing: print the command and the files it "
        "reads",
    )
    parser.set_defaults(run=_serve)


def _export(arguments: argparse.Namespace) -> None:
    from keras_t2i.export.model_folder import MAX_STYLE_PIXELS
    from keras_t2i.export.saved_model import export_saved_model
    from keras_t2i.text.embeddings import PrecomputedEmbeddings
    from keras_t2i.training.model_files import load_gan
    from keras_t2i.training.model_files import load_style_encoder_for

    gan = load_gan(arguments.model)
    set_truncation(gan, arguments)
    style_encoder = load_style_encoder_for(
        arguments.model, arguments.style_encoder
    )
    if arguments.max_style_pixels and style_encoder is None:
        raise ValueError(
            "--max-style-pixels is for a style encoder. Received: none, by "
            "--style-encoder or beside the model"
        )
    out = arguments.out
    if out is None:
        out = pathlib.Path("saved_models") / name_of_model(arguments.model)
    with options_named(arguments, path="out"):
        path = export_saved_model(
            gan,
            out,
            arguments.version,
            style_encoder,
            arguments.max_style_pixels or MAX_STYLE_PIXELS,
            arguments.half_precision,
        )
    reads_texts = not isinstance(gan.text_encoder, PrecomputedEmbeddings)
    if style_encoder is None and reads_texts:
        print_note(
            "without `transfer_style`, as there is no style encoder: train one "
            "by `train-style`, and name it by --style-encoder"
        )
    print_result(f"SavedModel: {path}")


def name_of_model(model: str) -> str:
    """Returns the name of a model's folder, from that of the model."""
    path = pathlib.Path(os.path.abspath(model))
    # Files in run folders have the same names in all of them.
    if path.name in ("model.keras", "best.keras"):
        path = path.parent
    return path.name.removesuffix(".keras")


def _serve(arguments: argparse.Namespace) -> None:
    from keras_t2i.export.model_server import ModelServer

    if arguments.port > 65535:
        raise ValueError(
            f"--port must be at most 65535. Received: {arguments.port}"
        )
    server = ModelServer(arguments.models, arguments.port)
    if arguments.print:
        for path, text in server.files.items():
            # A tab would be shown as an escape.
            print_result(f"# {path}", *text.expandtabs(4).split("\n"))
        print_result(shlex.join(server.command))
        return
    # The server must end with this process, by whatever signal it ends.
    for number in _ENDING_SIGNALS:
        # `nohup` ignores one of them, which must stay so.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _exit)
    with server:
        for address in server.addresses.values():
            print_result(f"serving: {address}")
        server.wait()


def _exit(number: int, _: object) -> NoReturn:
    # A closed terminal sends several signals. Those after the first must not
    # interrupt the exit.
    for following in _ENDING_SIGNALS:
        signal.signal(following, lambda *_: None)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)
