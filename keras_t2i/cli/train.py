"""`keras-t2i train`: a prepared data set and a text encoder -> a GAN."""

import argparse
import contextlib
import json
import pathlib

import numpy as np
import tensorflow as tf

from keras_t2i.callbacks.collapse_warning import CollapseWarning
from keras_t2i.callbacks.image_grid import ImageGrid
from keras_t2i.callbacks.keep_best import MEASURED_STEPS
from keras_t2i.callbacks.keep_best import KeepBest
from keras_t2i.cli.embed import report_cut
from keras_t2i.cli.model_files import load_text_encoder
from keras_t2i.cli.model_files import networks_of_text_encoder
from keras_t2i.cli.options import add_duration
from keras_t2i.cli.options import add_seed
from keras_t2i.cli.options import whole_number
from keras_t2i.cli.progress import show_progress
from keras_t2i.cli.run_folder import DURATIONS
from keras_t2i.cli.run_folder import RunFolder
from keras_t2i.cli.samples import sample_captions
from keras_t2i.cli.samples import write_real_samples
from keras_t2i.cli.training import failures_while_running
from keras_t2i.cli.training import fit_run
from keras_t2i.cli.training import num_images
from keras_t2i.cli.training import set_up
from keras_t2i.cli.training import total_steps
from keras_t2i.cli.training import training_split
from keras_t2i.datasets.batches import make_dataset
from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.evaluation.captions import EvaluationCaptions
from keras_t2i.evaluation.feature_distances import FEWEST_IMAGES
from keras_t2i.evaluation.judge import load_judge
from keras_t2i.evaluation.model_images import ModelImages
from keras_t2i.evaluation.quick_evaluation import MEASURES
from keras_t2i.evaluation.quick_evaluation import QuickEvaluation
from keras_t2i.files import waited_for
from keras_t2i.models.presets import gan_optimizer
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.presets import preset
from keras_t2i.presets import presets
from keras_t2i.text.embeddings import embeddings_fingerprint
from keras_t2i.text.embeddings import extract_embeddings

_DEFAULT_PRESET = "gan_int_cls"
# Batches whose texts' mean and deviation are taken for those of all.
_NUM_STANDARDIZED = 100
_MEASURED_SPLIT = "val"


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    descriptions = "\n".join(
        f"  {name:16} {value['description']}"
        for name, value in presets("gan").items()
    )
    parser = subparsers.add_parser(
        "train",
        help="train a GAN on a prepared data set",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Trains a GAN that draws pictures from sentences. All "
        "splits but test are used,\nwith --keep-best only train. The run "
        "folder gets config.json, metrics.jsonl,\nsamples/, checkpoints/, "
        "model.keras and, with --keep-best, best.keras. Ctrl-C ends\n"
        f"the training in order.\n\npresets:\n{descriptions}",
    )
    parser.add_argument(
        "--data", metavar="DIR", help="prepared data set, made by `prepare`"
    )
    parser.add_argument(
        "--text-encoder",
        metavar="RUN_OR_FILE",
        help="run folder of `train-text`, or a .keras file. Its embeddings of "
        "all captions are extracted first, where they are not beside it yet",
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
        "--width",
        type=whole_number(at_least=1),
        metavar="N",
        help="channels of the discriminator's first convolution (with "
        "gan_int_cls_plus, of its map of 32x32); the generator keeps its ratio "
        "to it (default: as the preset says)",
    )
    parser.add_argument(
        "--batch-size",
        type=whole_number(at_least=2),
        metavar="N",
        help="images in a step, on all devices together (default: as the "
        "preset says)",
    )
    add_duration(parser)
    parser.add_argument(
        "--end-to-end",
        action="store_true",
        default=None,
        help="train the text encoder along, by the discriminator's loss; "
        "without --text-encoder a new one. One caption an image, any "
        "mismatching text: what a preset says of them needs embeddings",
    )
    parser.add_argument(
        "--strategy",
        choices=("none", "mirrored"),
        help="mirrored: all GPUs of this machine (default: none)",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        help="of the computations; weights stay float32 (default: as the "
        "preset says, float32)",
    )
    parser.add_argument(
        "--keep-best",
        choices=tuple(MEASURES),
        metavar="MEASURE",
        help=f"train on the split train alone and, every {MEASURED_STEPS} "
        f"steps, measure on {_MEASURED_SPLIT}: {', '.join(MEASURES)}, all "
        "recorded in metrics.jsonl. The model that is the best by MEASURE is "
        "kept as best.keras. docs/evaluation.md says what they mean (default: "
        "nothing is measured)",
    )
    add_seed(parser, "seed of weights, noise and the order of data")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out from its last checkpoint",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything, print the resolved options and the sizes of "
        "the networks as JSON, and train nothing",
    )
    parser.set_defaults(run=_run)


def _run(arguments):
    names = (
        "data",
        "text_encoder",
        "preset",
        "width",
        "batch_size",
        *DURATIONS,
        "end_to_end",
        "strategy",
        "precision",
        "keep_best",
        "seed",
    )
    options = {name: getattr(arguments, name) for name in names}
    run = RunFolder(arguments.out)
    if arguments.resume:
        options = run.resumed_options("train", options)
    else:
        run.check_free()
    train(run, options, dry_run=arguments.dry_run)
    if not arguments.dry_run:
        print(f"model: {run.model}")


def train(
    run, options, dry_run=False, judge=None, measured_steps=MEASURED_STEPS
):
    """Trains a GAN in a run folder.

    Args:
        run: `RunFolder`, free or of a run to go on with.
        options: dict of the command's options, `None` where not given.
        dry_run: bool. Whether to print what would be done instead. Defaults
            to `False`.
        judge: `Judge`, for `keep_best`. Defaults to `None`: that of
            `evaluate`.
        measured_steps: int. `keep_best` measures every so many steps. Defaults
            to `250`.
    """
    _check_given(options)
    options = _with_defaults(options)
    manifest = read_manifest(options["data"])
    split = training_split(manifest)
    if options["keep_best"] is not None:
        _check_measured_split(manifest)
        split = "train"
    training = preset("gan", options["preset"])["training"]
    steps_per_epoch = max(
        1, num_images(manifest, split) // options["batch_size"]
    )
    if options["keep_best"] is not None:
        _check_measured_steps(
            total_steps(options, steps_per_epoch), measured_steps
        )
    set_up(options)
    with _strategy(options).scope():
        if run.last_step():
            gan = run.load_checkpoint()
        else:
            gan = _new_gan(
                options, manifest.image_size, training, steps_per_epoch
            )
    embeddings = None
    # What needs extracted embeddings.
    text_options = {
        name: training[name]
        for name in ("captions_per_image", "mismatch_candidates")
    }

    def make_stream(step):
        return make_dataset(
            options["data"],
            split,
            options["batch_size"],
            text_embeddings=embeddings,
            **({} if embeddings is None else text_options),
            seed=options["seed"],
            start_step=step,
            mismatched=gan.matching_aware,
            tokenize=gan.text_encoder.tokenize,
        )

    # Damaged data must leave nothing behind.
    captions, images = sample_captions(options["data"], manifest)
    make_stream(0)
    captions_to_measure = None
    if options["keep_best"] is not None:
        captions_to_measure = EvaluationCaptions(
            options["data"], _MEASURED_SPLIT
        )
        judge = load_judge() if judge is None else judge
        _check_judge(judge, gan, captions_to_measure, options["text_encoder"])
    if dry_run:
        _print_plan(options, gan)
        return
    if not options["end_to_end"]:
        embeddings = _embeddings(options, manifest, gan.text_encoder)
        stream = make_stream(0)
        if training.get("standardize_texts") and not run.last_step():
            gan.standardize_texts(some_texts(stream))
    keep_best = evaluation = None
    if captions_to_measure is not None:
        evaluation = QuickEvaluation(
            captions_to_measure, judge, gan.image_size, show_progress
        )
    run.write_config("train", options)
    with failures_while_running(run):
        write_real_samples(run.samples, captions, images)
        if evaluation is not None:
            keep_best = _keep_best(run, options, evaluation, measured_steps)
            run.publish_best(keep_best.best_step)
        interrupted = fit_run(
            run,
            gan,
            make_stream,
            options,
            num_images(manifest, split),
            callbacks=lambda first_step: [
                ImageGrid(run.samples, captions, first_step=first_step),
                CollapseWarning(first_step=first_step),
            ],
            decay_share=training.get("decay_share"),
            keep_best=keep_best,
        )
        run.publish_model()
    if interrupted:
        raise KeyboardInterrupt
    if keep_best is not None:
        print(f"best: {_best_of(run, keep_best)}")


def _keep_best(run, options, evaluation, measured_steps):
    """Returns the callback, which goes on from the run's last checkpoint."""
    monitor = f"val_{options['keep_best']}"
    first_step = run.last_step()
    return KeepBest(
        run.best,
        evaluation.measure,
        monitor,
        MEASURES[options["keep_best"]],
        every_steps=measured_steps,
        first_step=first_step,
        earlier=run.measured_until(first_step, monitor),
    )


def _best_of(run, keep_best):
    if keep_best.best_step is None:
        return f"none, the training ended before step {keep_best.every_steps}"
    return (
        f"{run.best}, of step {keep_best.best_step}: "
        f"{keep_best.monitor} {keep_best.best:.5g}"
    )


def some_texts(stream):
    """Returns embeddings as the networks see them in training."""
    batches = stream.take(_NUM_STANDARDIZED).as_numpy_iterator()
    return np.concatenate([batch["text_embeddings"] for batch in batches])


def _check_given(options):
    if options["data"] is None:
        raise ValueError(
            "train needs --data DIR, a prepared data set. Received: no --data."
        )
    if options["text_encoder"] is None and not options["end_to_end"]:
        raise ValueError(
            "train needs --text-encoder RUN_OR_FILE, made by `train-text`, or "
            "--end-to-end to train a new one. Received: neither."
        )


def _check_measured_split(manifest):
    splits = manifest.splits
    received = f"the splits {', '.join(sorted(splits))}"
    if _MEASURED_SPLIT in splits:
        count = splits[_MEASURED_SPLIT].num_images
        if "train" in splits and count >= FEWEST_IMAGES:
            return
        received += f", with {count} images in {_MEASURED_SPLIT}"
    raise ValueError(
        "--keep-best trains on a split train and measures on a split "
        f"{_MEASURED_SPLIT} of at least {FEWEST_IMAGES} images. Received: "
        f"{received}. Prepare the data set with a longer list of validation "
        "classes, valclasses.txt, or leave out --keep-best."
    )


def _check_measured_steps(steps, measured_steps):
    if steps is not None and steps < measured_steps:
        raise ValueError(
            f"--keep-best measures every {measured_steps} steps. Received: a "
            f"training of {steps} steps. Train longer, or leave out "
            "--keep-best."
        )


def _check_judge(judge, gan, captions, text_encoder):
    networks = networks_of_text_encoder(text_encoder)
    images = ModelImages(gan, captions, trained_with=networks)
    if judge.known_as & images.trained_with:
        raise ValueError(
            f"--keep-best measures by {judge.name}, which must not have "
            "trained what it measures. Received: a model or text encoder "
            "trained with it. Take a text encoder of `train-text "
            "--image-encoder efficientnet_lite0`, or leave out --keep-best."
        )


def _with_defaults(options):
    name = options["preset"] or _DEFAULT_PRESET
    training = preset("gan", name)["training"]
    options = {**options, "preset": name}
    if all(options[name] is None for name in DURATIONS):
        options["epochs"] = training["epochs"]
    defaults = {
        "batch_size": training["batch_size"],
        "end_to_end": False,
        "strategy": "none",
        "precision": training.get("precision", "float32"),
        "seed": 0,
    }
    for name, value in defaults.items():
        if options[name] is None:
            options[name] = value
    return options


def _strategy(options):
    if options["strategy"] != "mirrored":
        return tf.distribute.get_strategy()
    strategy = tf.distribute.MirroredStrategy()
    devices = strategy.num_replicas_in_sync
    if options["batch_size"] % devices:
        raise ValueError(
            "--batch-size must be a multiple of the number of devices, "
            f"{devices}. Received: {options['batch_size']}."
        )
    return strategy


def _new_gan(options, image_size, training, steps_per_epoch):
    text_encoder = None
    if options["text_encoder"] is not None:
        text_encoder = load_text_encoder(options["text_encoder"])
        text_encoder.trainable = options["end_to_end"]
    gan = TextToImageGAN.from_preset(
        options["preset"],
        image_size=image_size,
        width=options["width"],
        text_encoder=text_encoder,
    )
    gan.seed = options["seed"]
    gan.compile(
        *(
            gan_optimizer(training, network, steps_per_epoch)
            for network in ("generator", "discriminator")
        )
    )
    return gan


def _print_plan(options, gan):
    networks = ("generator", "discriminator", "text_encoder")
    plan = {
        "options": options,
        "image_size": gan.image_size,
        "parameters": {
            name: getattr(gan, name).count_params() for name in networks
        },
    }
    print(json.dumps(plan, indent=2))


def _embeddings(options, manifest, text_encoder):
    """Returns the folder of embeddings beside the encoder, made if need be."""
    folder = pathlib.Path(options["text_encoder"])
    if not folder.is_dir():
        folder = folder.parent
    fingerprint = embeddings_fingerprint(manifest, text_encoder)
    for path in sorted(folder.iterdir()):
        if (path / MANIFEST_FILE).is_file():
            with contextlib.suppress(ValueError):
                if read_embedding_manifest(path).fingerprint == fingerprint:
                    return path
    path = folder / f"embeddings-{fingerprint[:12]}"
    path.mkdir(exist_ok=True)
    # Another training with this encoder may be making them.
    with waited_for(path):
        if not (path / MANIFEST_FILE).is_file():
            with show_progress("Embedding captions", "images") as progress:
                num_cut = extract_embeddings(
                    text_encoder, options["data"], path, progress
                )
            report_cut(text_encoder, num_cut)
    return path
