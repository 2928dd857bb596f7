"""`keras-t2i train-text`: a prepared data set -> a text encoder."""

import argparse

import keras
import numpy as np

from keras_t2i.cli.options import add_duration
from keras_t2i.cli.options import add_seed
from keras_t2i.cli.options import whole_number
from keras_t2i.cli.run_folder import DURATIONS
from keras_t2i.cli.run_folder import RunFolder
from keras_t2i.cli.training import fit_run
from keras_t2i.cli.training import num_images
from keras_t2i.cli.training import set_up
from keras_t2i.cli.training import training_split
from keras_t2i.datasets.make_dataset import make_pairs_dataset
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.files import replace_when_whole
from keras_t2i.presets import preset
from keras_t2i.presets import presets
from keras_t2i.text.char_cnn_rnn import CharCNNRNN
from keras_t2i.text.image_encoder import image_encoder
from keras_t2i.text.joint_embedding import JointEmbedding

_DEFAULT_PRESET = "char_cnn_rnn"


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    descriptions = "\n".join(
        f"  {name:20} {value['description']}"
        for name, value in presets("text_encoder").items()
    )
    parser = subparsers.add_parser(
        "train-text",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="train a text encoder on a prepared data set",
        description="Trains a char-CNN-RNN text encoder, and a small image "
        "encoder along with it,\nuntil captions lie close to their images. All "
        f"splits but test are used.\n\npresets:\n{descriptions}",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="prepared data set, made by `prepare`",
    )
    parser.add_argument(
        "--out", metavar="RUN", required=True, help="run folder to make"
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"settings, see above (default: {_DEFAULT_PRESET})",
    )
    parser.add_argument(
        "--batch-size",
        type=whole_number(at_least=2),
        metavar="N",
        help="images in a step, each of a class of its own, so at most as "
        "many as there are classes (default: as the preset says)",
    )
    add_duration(parser)
    add_seed(parser, "seed of the initial weights and of the order of data")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out from its last checkpoint",
    )
    parser.set_defaults(run=_run)


def _run(arguments):
    options = {
        "data": arguments.data,
        "preset": arguments.preset,
        "batch_size": arguments.batch_size,
        "epochs": arguments.epochs,
        "steps": arguments.steps,
        "minutes": arguments.minutes,
        "seed": arguments.seed,
    }
    run = RunFolder(arguments.out)
    if arguments.resume:
        options = run.resumed_options("train-text", options)
    else:
        run.check_free()
    train_text(run, options)
    print(f"text encoder: {run.model}")


def train_text(run, options):
    """Trains a text encoder in a run folder.

    Args:
        run: `RunFolder`, free or of a run to go on with.
        options: dict of the command's options, `None` where not given.
    """
    if options["data"] is None:
        raise ValueError(
            "train-text needs --data DIR, a prepared data set. Received: no "
            "--data."
        )
    options = _with_defaults(options)
    manifest = read_manifest(options["data"])
    split = training_split(manifest)
    set_up(options)
    model = (
        run.load_checkpoint()
        if run.last_step()
        else _new_model(options, manifest.image_size)
    )

    def make_stream(step):
        return make_pairs_dataset(
            options["data"],
            split,
            options["batch_size"],
            seed=options["seed"],
            start_step=step,
        )

    make_stream(0)  # Damaged data must leave no run folder behind.
    run.write_config("train-text", options)
    interrupted = fit_run(
        run,
        model,
        make_stream,
        options,
        num_images(manifest, split),
        callbacks=lambda first_step: [],
    )
    # The published model only: a run that goes on does so from a checkpoint.
    model.standardize(_some_char_ids(make_stream(0)))
    with replace_when_whole(run.model) as temporary:
        model.save(temporary)
    if interrupted:
        raise KeyboardInterrupt


def _some_char_ids(stream):
    batches = stream.take(50).as_numpy_iterator()
    return np.concatenate([batch["char_ids"] for batch in batches])


def _with_defaults(options):
    name = options["preset"] or _DEFAULT_PRESET
    training = preset("text_encoder", name)["training"]
    options = {**options, "preset": name}
    if all(options[name] is None for name in DURATIONS):
        options["epochs"] = training["epochs"]
    if options["batch_size"] is None:
        options["batch_size"] = training["batch_size"]
    options["seed"] = options["seed"] or 0
    return options


def _new_model(options, image_size):
    chosen = preset("text_encoder", options["preset"])
    model = JointEmbedding(
        CharCNNRNN(**chosen["model"]),
        image_encoder(image_size, chosen["model"]["embedding_dim"]),
    )
    learning_rate = chosen["training"]["learning_rate"]
    model.compile(keras.optimizers.Adam(learning_rate))
    return model
