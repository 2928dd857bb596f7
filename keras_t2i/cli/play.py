"""`keras-t2i play`: a page for people, in front of a GAN."""

import argparse
import ipaddress
import os
import pathlib
import re

from keras_t2i.cli.export import name_of_model
from keras_t2i.cli.options import Subparsers
from keras_t2i.cli.options import add_model
from keras_t2i.cli.options import add_style_encoder
from keras_t2i.cli.options import add_truncation
from keras_t2i.cli.options import load_generating_model
from keras_t2i.cli.options import set_truncation
from keras_t2i.cli.options import whole_number
from keras_t2i.terminal import print_error
from keras_t2i.terminal import print_result


def add_parser(subparsers: Subparsers) -> None:
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "play",
        help="serve a page to generate images in the browser",
        description="Serves a page on which you can generate images, slide "
        "between captions and noises, and use the style of an image, until "
        "Ctrl-C. It loads nothing from other hosts, and has no password: "
        "whoever reaches the address can use it. Needs `pip install "
        '"keras-t2i[play]"`.',
    )
    source = parser.add_mutually_exclusive_group()
    add_model(source, may_be_served=True)
    source.add_argument(
        "--server",
        dest="model",
        default=argparse.SUPPRESS,
        metavar="URL",
        help="address of a served model, as of --model",
    )
    add_style_encoder(
        parser,
        "The page can then also generate in the style of an image; an exported "
        "or served model brings its own",
    )
    add_truncation(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="HOST",
        help="address of this machine to serve at; 0.0.0.0 for all of them "
        "(default: 127.0.0.1, for this machine alone)",
    )
    parser.add_argument(
        "--port",
        type=whole_number(at_least=1),
        default=7860,
        metavar="N",
        help="port to serve at (default: 7860)",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    import asyncio

    from keras_t2i.play.web_server import check_installed
    from keras_t2i.play.web_server import listening_socket
    from keras_t2i.play.web_server import server_of

    check_installed()
    host, port = arguments.host, arguments.port
    # Before the model, which takes longer.
    with listening_socket(host, port) as socket:
        from keras_t2i.play.page_layout import make_page
        from keras_t2i.play.page_model import PageModel
        from keras_t2i.training.model_files import load_style_encoder_for

        model = load_generating_model(arguments.model)
        set_truncation(model, arguments)
        style_encoder = load_style_encoder_for(
            arguments.model, arguments.style_encoder
        )
        page_model = PageModel(model, style_encoder)
        # Not the path or the host, which are nobody's business.
        name = _name_shown(arguments.model)
        if not _is_this_machine_alone(host):
            print_error(
                "keras-t2i: warning: the page has no password. Whoever reaches "
                f"{host} can use it."
            )
        shown = f"[{host}]" if ":" in host else host
        print_result(f"page: http://{shown}:{port}")

        async def serve() -> None:
            # In the loop: Gradio makes others where there is none.
            server = server_of(make_page(page_model, name))
            await server.serve(sockets=[socket])

        asyncio.run(serve())


def _name_shown(model: str) -> str:
    """Returns the name of a model, without that of its file or version.

    Example:

    >>> from keras_t2i.cli.play import _name_shown
    >>> _name_shown("https://a.org/v1/models/roses/versions/3")
    'roses'
    >>> _name_shown("runs/roses/best.keras")
    'roses'
    """
    from keras_t2i.export.model_folder import SAVED_MODEL_FILE

    if (pathlib.Path(model) / SAVED_MODEL_FILE).is_file():
        model = os.path.dirname(os.path.abspath(model))
    return name_of_model(re.sub(r"/(versions|labels)/[^/]+/?$", "", model))


def _is_this_machine_alone(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
