"""`keras-t2i serve`: exported models -> TensorFlow Serving."""

import argparse
import shlex
import signal
import sys

from keras_t2i.cli.options import whole_number

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "serve",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="run TensorFlow Serving over exported models",
        description="Runs TensorFlow Serving over all models in a folder until "
        "Ctrl-C, and prints\ntheir addresses once they are available.\n\nThe "
        "server is the program that $TF_SERVING_BINARY names, else\n"
        "tensorflow_model_server on the PATH, else Docker's image\n"
        "tensorflow/serving, which can be reached from this machine only.",
    )
    parser.add_argument(
        "--models",
        required=True,
        metavar="DIR",
        help="folder of models, each written by `export`",
    )
    parser.add_argument(
        "--port",
        type=whole_number(at_least=2),
        default=8501,
        metavar="N",
        help="port of the REST API; gRPC has the one below (default: 8501)",
    )
    parser.add_argument(
        "--print",
        action="store_true",
        help="show the command and the files that it reads, and neither write "
        "nor run anything",
    )
    parser.set_defaults(run=_run)


def _run(arguments):
    from keras_t2i.export.model_server import ModelServer

    if arguments.port > 65535:
        raise ValueError(
            f"--port must be at most 65535. Received: {arguments.port}"
        )
    server = ModelServer(arguments.models, arguments.port)
    if arguments.print:
        for path, text in server.files.items():
            print(f"# {path}\n{text}")
        print(shlex.join(server.command))
        return
    # The server must end with this process, however that is ended.
    for number in _ENDING_SIGNALS:
        # `nohup` has one of them ignored, which is to last.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _exit)
    with server:
        for address in server.addresses.values():
            print(f"serving: {address}", flush=True)
        server.wait()


def _exit(number, _):
    # A terminal that is closed sends more than one, and the next must not
    # interrupt the end.
    for following in _ENDING_SIGNALS:
        signal.signal(following, lambda *_: None)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)
