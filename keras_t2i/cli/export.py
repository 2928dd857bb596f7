"""`keras-t2i export`: a run folder -> a SavedModel."""

from keras_t2i.cli.options import whole_number


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "export",
        help="write a SavedModel for TensorFlow Serving",
        description="Writes a SavedModel that takes texts and returns PNG "
        "pictures, and beside it what TensorFlow Serving is configured by and "
        "a README with requests to copy.",
    )
    parser.add_argument(
        "--model",
        required=True,
        metavar="RUN_OR_FILE",
        help="run folder of `train`, or a .keras file",
    )
    parser.add_argument(
        "--style-encoder",
        metavar="RUN_OR_FILE",
        help="run folder of `train-style`, or a .keras file: the model can "
        "then draw in the style of a picture",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR/NAME",
        help="folder of the model, whose last part is the name it is served "
        "by; the version gets a folder in it",
    )
    parser.add_argument(
        "--version",
        type=whole_number(at_least=1),
        metavar="N",
        help="version to write; servers answer from the highest (default: the "
        "one after the highest that is there)",
    )
    parser.set_defaults(run=_run)


def _run(arguments):
    from keras_t2i.export.saved_model import export_saved_model
    from keras_t2i.training.model_files import load_gan
    from keras_t2i.training.model_files import load_style_encoder

    gan = load_gan(arguments.model)
    style_encoder = None
    if arguments.style_encoder is not None:
        style_encoder = load_style_encoder(arguments.style_encoder)
    path = export_saved_model(
        gan, arguments.out, arguments.version, style_encoder
    )
    print(f"SavedModel: {path}")
