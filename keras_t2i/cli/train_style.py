"""`keras-t2i train-style`: a GAN and a data set -> a style encoder."""

import json

import numpy as np

from keras_t2i.cli.model_files import load_gan
from keras_t2i.cli.options import add_duration
from keras_t2i.cli.run_folder import RunFolder
from keras_t2i.cli.training import failures_while_running
from keras_t2i.cli.training import fit_run
from keras_t2i.cli.training import num_images
from keras_t2i.cli.training import set_up
from keras_t2i.cli.training import training_split
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.make_dataset import make_captions_dataset
from keras_t2i.datasets.make_dataset import make_dataset
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.files import replace_when_whole
from keras_t2i.models.style_encoder import StyleEncoder
from keras_t2i.models.style_inversion import StyleInversion
from keras_t2i.text.tokenizer import tokenize_for

_DEFAULT_MINUTES = 15.0
# A step takes a third of the time that it takes at a width of 64.
_WIDTH = 32
# Of real pictures: the paper has none. Without them S knows nothing of such,
# and without the limit on their styles that comes with it, transfers follow
# the text less: docs/lab/style.md.
_RECONSTRUCTION_WEIGHT = 5.0
_NUM_MEASURED = 1000
_UNSEEN = "test"


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "train-style",
        help="train a style encoder to invert a GAN",
        description="Trains a style encoder, which finds the noise that a GAN "
        "would draw a picture from: the picture's style, for `transfer`. It "
        "learns from what the GAN draws from the captions of a prepared data "
        "set, all splits but test, and from the pictures of these captions, "
        "which the GAN has to draw again from their styles. It is measured on "
        "captions of the test split, if there is one. The run folder gets "
        "config.json, metrics.jsonl, checkpoints/, model.keras and "
        "r_squared.json. Ctrl-C ends the training in order.",
    )
    parser.add_argument(
        "--model",
        metavar="RUN_OR_FILE",
        help="run folder of `train`, or a .keras file",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="prepared data set, made by `prepare`",
    )
    parser.add_argument(
        "--out", metavar="RUN", required=True, help="run folder to make"
    )
    add_duration(parser, default_minutes=_DEFAULT_MINUTES)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out from its last checkpoint",
    )
    parser.set_defaults(run=_run)


def _run(arguments):
    options = {
        "model": arguments.model,
        "data": arguments.data,
        "epochs": None,
        "steps": arguments.steps,
        "minutes": arguments.minutes,
    }
    run = RunFolder(arguments.out)
    if arguments.resume:
        options = run.resumed_options("train-style", options)
    else:
        run.check_free()
    measured, split = _train_style(run, options)
    print(f"style encoder: {run.model}")
    per_dimension = measured.r_squared_per_dimension
    kind = "unseen captions" if split == _UNSEEN else "captions of the training"
    print(
        f"R^2 of the noise, on {kind}: {measured.r_squared:.3f} "
        f"({per_dimension.min():.3f} to {per_dimension.max():.3f} in the "
        f"{len(per_dimension)} dimensions, all in {_measured_file(run)})"
    )
    ignored = len(measured.ignored_dimensions)
    if ignored:
        print(
            f"the GAN ignores {ignored} of its {len(per_dimension)} noise "
            "dimensions, which nothing can recover"
        )


def _train_style(run, options):
    """Trains a style encoder in a run folder and measures it."""
    for name in ("model", "data"):
        if options[name] is None:
            raise ValueError(
                "train-style needs --model RUN_OR_FILE, a GAN, and --data DIR, "
                f"a prepared data set. Received: no --{name}."
            )
    if options["steps"] is None and options["minutes"] is None:
        options = {**options, "minutes": _DEFAULT_MINUTES}
    manifest = read_manifest(options["data"])
    split = training_split(manifest)
    set_up({"seed": 0})
    inversion = (
        run.load_checkpoint()
        if run.last_step()
        else _new_inversion(load_gan(options["model"]))
    )

    def make_stream(step):
        return style_batches(inversion, options["data"], split, step)

    # Damaged data must leave nothing behind.
    captions, measured_split = _captions_to_measure(options["data"], manifest)
    make_stream(0)
    run.write_config("train-style", options)
    with failures_while_running(run):
        interrupted = fit_run(
            run,
            inversion,
            make_stream,
            options,
            num_images(manifest, split),
        )
        # What was measured of an earlier model says nothing of this one.
        _measured_file(run).unlink(missing_ok=True)
        run.publish_model()
        if interrupted:
            raise KeyboardInterrupt
        measured = inversion.noise_r_squared(captions)
        _write_measured(run, measured_split, captions, measured)
    return measured, measured_split


def style_batches(inversion, data, split, start_step):
    """Makes the batches that an inversion learns from."""
    options = {
        "start_step": start_step,
        "tokenize": lambda texts: tokenize_for(inversion.text_encoder, texts),
    }
    if not inversion.reconstruction_weight:
        return make_captions_dataset(data, split, **options)
    return make_dataset(
        data,
        split,
        image_size=inversion.generator.image_size,
        mismatched=False,
        **options,
    )


def _new_inversion(gan):
    inversion = StyleInversion(
        # That which `generate` draws with.
        gan.ema_generator,
        gan.text_encoder,
        StyleEncoder(gan.image_size, _WIDTH, gan.noise_dim),
        reconstruction_weight=_RECONSTRUCTION_WEIGHT,
    )
    inversion.compile()
    return inversion


def _captions_to_measure(data, manifest):
    """One caption of each image of the test split, or of so many.

    Without one, of a split that is trained on. Returns the split too.
    """
    split = _UNSEEN if _UNSEEN in manifest.splits else min(manifest.splits)
    examples = PreparedExamples(data, split)
    generator = np.random.default_rng(0)
    # A data set of one image has one noise for each of its captions.
    order = np.resize(
        generator.permutation(len(examples)), max(2, len(examples))
    )
    captions = [
        str(generator.choice(examples.read(index).captions))
        for index in order[:_NUM_MEASURED]
    ]
    return captions, split


def _measured_file(run):
    return run.path / "r_squared.json"


def _write_measured(run, split, captions, measured):
    values = {
        "step": run.last_step(),
        "split": split,
        "num_captions": len(captions),
        "r_squared": measured.r_squared,
        "r_squared_per_dimension": measured.r_squared_per_dimension.tolist(),
        "effect_per_dimension": measured.effect_per_dimension.tolist(),
        "ignored_dimensions": measured.ignored_dimensions,
    }
    with replace_when_whole(_measured_file(run)) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", "utf-8")
