"""Trains text encoders that differ in one setting, for as many minutes.

    python benchmarks/compare_text_encoders.py --data data/oxford64 \\
        --out runs/text-settings --minutes 8 hinge softmax
    python benchmarks/compare_text_encoders.py --data data/oxford64 \\
        --out runs/feature-settings --minutes 8 \\
        --features efficientnet_lite0 softmax features

Each is a run folder of its own under --out, trained on the split `train` alone
and measured on `val`, so that the test classes choose nothing. What is there
already is gone on with, so an interrupted comparison is started again by the
same command. Printed is a table of what `evaluate-text` measures.
"""

import argparse
import pathlib
import sys

import keras_t2i
from keras_t2i.cli.image_networks import IMAGE_NETWORKS
from keras_t2i.cli.image_networks import network_features
from keras_t2i.cli.run_folder import RunFolder
from keras_t2i.cli.text_evaluation import evaluate_text
from keras_t2i.cli.train_text import compile_for
from keras_t2i.cli.train_text import epoch_steps
from keras_t2i.cli.train_text import new_joint_embedding
from keras_t2i.cli.training import fit_run
from keras_t2i.cli.training import set_up
from keras_t2i.datasets.batches import make_pairs_dataset
from keras_t2i.datasets.examples import ImageFeatures
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.presets import preset

# The preset, and what differs from its `training`.
SETTINGS = {
    "published": ("char_cnn_rnn_flowers", {}),
    "hinge": ("char_cnn_rnn_small", {"batch_size": 64}),
    "hinge_margin_0.2": (
        "char_cnn_rnn_small",
        {"batch_size": 64, "loss": {"structured": {"margin": 0.2}}},
    ),
    "hinge_2_images": (
        "char_cnn_rnn_small",
        {"batch_size": 64, "images_per_class": 2},
    ),
    "hinge_40": ("char_cnn_rnn_small", {}),
    "hinge_3e-4": (
        "char_cnn_rnn_small",
        {"batch_size": 64, "learning_rate": 3e-4},
    ),
    "softmax": ("char_cnn_rnn_small_softmax", {}),
    "softmax_2_images": ("char_cnn_rnn_small_softmax", {"images_per_class": 2}),
    "softmax_4_images": ("char_cnn_rnn_small_softmax", {"images_per_class": 4}),
    "softmax_hot": (
        "char_cnn_rnn_small_softmax",
        {"images_per_class": 2, "loss": {"softmax": {"temperature": 5.0}}},
    ),
    "softmax_cold": (
        "char_cnn_rnn_small_softmax",
        {"loss": {"softmax": {"temperature": 0.2}}},
    ),
    "softmax_128": ("char_cnn_rnn_small_softmax", {"batch_size": 128}),
    "softmax_3e-4": ("char_cnn_rnn_small_softmax", {"learning_rate": 3e-4}),
    "softmax_full": (
        "char_cnn_rnn_flowers",
        {
            **preset("text_encoder", "char_cnn_rnn_small_softmax")["training"],
            "images_per_class": 2,
            "learning_rate": 5e-4,
        },
    ),
    # For --features, as is softmax, which has neither decay nor averages.
    "features": ("char_cnn_rnn_features", {}),
    "features_decay": ("char_cnn_rnn_features", {"ema_momentum": None}),
    "features_average": ("char_cnn_rnn_features", {"decay_share": None}),
    "features_average_0.99": ("char_cnn_rnn_features", {"ema_momentum": 0.99}),
    "features_average_0.999": (
        "char_cnn_rnn_features",
        {"ema_momentum": 0.999},
    ),
    "features_cosine": ("char_cnn_rnn_features", {"similarity": "cosine"}),
    "features_class_head": (
        "char_cnn_rnn_features",
        {"class_head_weight": 0.5},
    ),
    "features_2_images": ("char_cnn_rnn_features", {"images_per_class": 2}),
    "features_words": (
        "word_cnn_rnn_small",
        {
            **preset("text_encoder", "char_cnn_rnn_features")["training"],
            "vocabulary_size": 5000,
        },
    ),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=f"settings: {', '.join(SETTINGS)}",
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    duration = parser.add_mutually_exclusive_group(required=True)
    duration.add_argument("--minutes", type=float)
    duration.add_argument("--steps", type=int)
    parser.add_argument(
        "--features",
        metavar="NETWORK_OR_PATH",
        help="to train on in place of images: efficientnet_lite0, or whatever "
        "else train-text --image-encoder takes as features",
    )
    parser.add_argument("--split", default="val", help="to measure on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("settings", nargs="+", choices=SETTINGS)
    arguments = parser.parse_args()
    if not read_manifest(arguments.data).class_names:
        parser.error("--data must have classes, for zero-shot accuracy")
    features = arguments.features
    if features in IMAGE_NETWORKS:
        features = network_features(features, arguments.data)
    columns = ("zero_shot_accuracy", "precision_at_50", "recall_at_10")
    print("| setting | steps | " + " | ".join(columns) + " |", flush=True)
    print("|---|---|" + "---|" * len(columns), flush=True)
    for name in arguments.settings:
        print(name, file=sys.stderr)
        model = _train(name, arguments, features)
        results = evaluate_text(
            model, arguments.data, arguments.split, features
        )
        values = " | ".join(f"{results[column]:.1%}" for column in columns)
        steps = int(model.optimizer.iterations)
        print(f"| {name} | {steps:,} | {values} |", flush=True)


def _train(name, arguments, features):
    layers, changes = SETTINGS[name]
    training = {**preset("text_encoder", layers)["training"], **changes}
    run = RunFolder(pathlib.Path(arguments.out) / name)
    set_up({"seed": arguments.seed})
    manifest = read_manifest(arguments.data)
    options = {
        name: getattr(arguments, name)
        for name in ("data", "seed", "features", "steps", "minutes")
    }
    options["epochs"] = None

    def image_encoder_of(embedding_dim):
        if features is None:
            return keras_t2i.text.image_encoder(
                manifest.image_size, embedding_dim
            )
        read = ImageFeatures(features, arguments.data, "train")
        return keras_t2i.text.feature_encoder(read.num_features, embedding_dim)

    if run.last_step():
        # What is gone on with must be of the same data and seed.
        run.resumed_options("compare_text_encoders", options)
        model = run.load_checkpoint()
    else:
        model = new_joint_embedding(
            layers,
            training,
            arguments.data,
            "train",
            arguments.seed,
            image_encoder_of,
        )

    def make_stream(step):
        return make_pairs_dataset(
            arguments.data,
            "train",
            training["batch_size"],
            images_per_class=training["images_per_class"],
            image_features=features,
            seed=arguments.seed,
            start_step=step,
            tokenize=model.text_encoder.tokenize,
        )

    num_rows = make_stream(0).element_spec["images"].shape[0]
    steps_per_epoch = epoch_steps(training, arguments.data, "train", num_rows)
    if not model.compiled:
        compile_for(model, training, steps_per_epoch)
    run.write_config("compare_text_encoders", options)
    interrupted = fit_run(
        run,
        model,
        make_stream,
        options,
        steps_per_epoch * num_rows,
        decay_share=training["decay_share"],
    )
    if interrupted:
        raise KeyboardInterrupt
    return model


if __name__ == "__main__":
    main()
