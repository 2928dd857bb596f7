"""`keras-t2i train-text`: a prepared data set -> a text encoder."""

import argparse
import pathlib
import sys

import keras
import numpy as np

from keras_t2i.cli.image_networks import IMAGE_NETWORKS
from keras_t2i.cli.image_networks import network_features
from keras_t2i.cli.options import add_duration
from keras_t2i.cli.options import add_seed
from keras_t2i.cli.options import whole_number
from keras_t2i.cli.run_folder import DURATIONS
from keras_t2i.cli.run_folder import RunFolder
from keras_t2i.cli.training import failures_while_running
from keras_t2i.cli.training import fit_run
from keras_t2i.cli.training import num_images
from keras_t2i.cli.training import set_up
from keras_t2i.cli.training import training_split
from keras_t2i.datasets.batches import make_pairs_dataset
from keras_t2i.datasets.examples import ImageFeatures
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.files import replace_when_whole
from keras_t2i.linear_decay import LinearDecay
from keras_t2i.losses.joint_embedding import StructuredJointEmbedding
from keras_t2i.losses.softmax_joint_embedding import SoftmaxJointEmbedding
from keras_t2i.presets import preset
from keras_t2i.presets import presets
from keras_t2i.text.char_cnn_rnn import CharCNNRNN
from keras_t2i.text.image_encoders import application_encoder
from keras_t2i.text.image_encoders import feature_encoder
from keras_t2i.text.image_encoders import image_encoder
from keras_t2i.text.joint_embedding import JointEmbedding
from keras_t2i.tokenizers import vocabulary_of

_DEFAULT_PRESET = "char_cnn_rnn_small_softmax"
# On features of a network that is named.
_FEATURES_PRESET = "char_cnn_rnn_features"
_OPTIONS = (
    "data",
    "preset",
    "batch_size",
    "image_encoder",
    "image_weights",
    "freeze_images",
    *DURATIONS,
    "seed",
)
_SMALL = "small"
_LOSSES = {
    "structured": StructuredJointEmbedding,
    "softmax": SoftmaxJointEmbedding,
}


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    descriptions = "\n".join(
        f"  {name:26} {value['description']}"
        for name, value in presets("text_encoder").items()
    )
    parser = subparsers.add_parser(
        "train-text",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="train a text encoder on a prepared data set",
        description="Trains a char-CNN-RNN text encoder, and an image "
        "encoder along with it,\nuntil captions lie close to their images. All "
        f"splits but test are used.\n\npresets:\n{descriptions}\n\n"
        "An epoch of what is trained as published has a step for each class.",
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
        help=f"settings, see above (default: {_DEFAULT_PRESET}; with features "
        f"of EfficientNet-Lite {_FEATURES_PRESET})",
    )
    parser.add_argument(
        "--batch-size",
        type=whole_number(at_least=2),
        metavar="N",
        help="images in a step, as many of each class as the preset says, so "
        "no more than classes allow (default: as the preset says)",
    )
    parser.add_argument(
        "--image-encoder",
        metavar="NAME_OR_PATH",
        help="small, a convolutional network; efficientnet_lite0 or _lite2, "
        "features of a network trained on ImageNet, which are computed once "
        "and kept with the data set (the time is not part of --minutes); a "
        "network of keras.applications, such as MobileNetV2; or features of "
        "all images, computed beforehand: a .npz file with an array for each "
        "image id, or whatever else embed --from reads (default: small)",
    )
    parser.add_argument(
        "--image-weights",
        metavar="FILE",
        help="weights of the network of keras.applications, without its "
        "classifier (default: random ones)",
    )
    parser.add_argument(
        "--freeze-images",
        action="store_true",
        default=None,
        help="leave those weights as they are",
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
    options = {name: getattr(arguments, name) for name in _OPTIONS}
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
    training = preset("text_encoder", options["preset"])["training"]
    manifest = read_manifest(options["data"])
    split = training_split(manifest)
    # First: neither time nor random numbers of the training go into it.
    features = _features(options)
    set_up(options)
    model = (
        run.load_checkpoint()
        if run.last_step()
        else _new_model(options, manifest, split, features)
    )

    def make_stream(step):
        return make_pairs_dataset(
            options["data"],
            split,
            options["batch_size"],
            images_per_class=training["images_per_class"],
            image_features=features,
            seed=options["seed"],
            start_step=step,
            tokenize=model.text_encoder.tokenize,
        )

    stream = make_stream(0)  # Damaged data must leave no run folder behind.
    num_rows = stream.element_spec["images"].shape[0]
    steps_per_epoch = epoch_steps(training, options["data"], split, num_rows)
    if not model.compiled:
        compile_for(model, training, steps_per_epoch)
    run.write_config("train-text", options)
    _report_smaller_batches(options, training, num_rows)
    with failures_while_running(run):
        interrupted = fit_run(
            run,
            model,
            make_stream,
            options,
            steps_per_epoch * num_rows,
            decay_share=training["decay_share"],
        )
        # The published model only: a run that goes on does so from a
        # checkpoint.
        model.standardize(_some_char_ids(stream))
        with replace_when_whole(run.model) as temporary:
            model.save(temporary)
    if interrupted:
        raise KeyboardInterrupt


def _report_smaller_batches(options, training, num_rows):
    images_per_class = training["images_per_class"]
    num_classes = options["batch_size"] // images_per_class
    if num_rows < num_classes * images_per_class:
        print(
            f"smaller batches: {num_rows} images, not "
            f"{num_classes * images_per_class}, as there are only "
            f"{num_rows // images_per_class} classes to train on",
            file=sys.stderr,
        )


def _some_char_ids(stream):
    batches = stream.take(50).as_numpy_iterator()
    return np.concatenate([batch["char_ids"] for batch in batches])


def _with_defaults(options):
    options = {**dict.fromkeys(_OPTIONS), **options}
    options["image_encoder"] = options["image_encoder"] or _SMALL
    if options["preset"] is None:
        options["preset"] = (
            _FEATURES_PRESET
            if options["image_encoder"] in IMAGE_NETWORKS
            else _DEFAULT_PRESET
        )
    training = preset("text_encoder", options["preset"])["training"]
    if all(options[name] is None for name in DURATIONS):
        options["epochs"] = training["epochs"]
    if options["batch_size"] is None:
        options["batch_size"] = training["batch_size"]
    options["freeze_images"] = bool(options["freeze_images"])
    options["seed"] = options["seed"] or 0
    if options["image_weights"] or options["freeze_images"]:
        name = options["image_encoder"]
        if name == _SMALL or name in IMAGE_NETWORKS or _features_path(name):
            raise ValueError(
                "--image-weights and --freeze-images are for an "
                "--image-encoder of keras.applications. Received: "
                f"--image-encoder {name}."
            )
    return options


def _features(options):
    """Returns the path of the features, `None` without."""
    name = options["image_encoder"]
    if name in IMAGE_NETWORKS:
        return network_features(name, options["data"])
    return _features_path(name)


def _features_path(name):
    # Whatever else is called so: features can be named as ./small.
    if name == _SMALL or callable(getattr(keras.applications, name, None)):
        return None
    # What is neither there nor has a suffix is a misspelt network.
    is_path = pathlib.Path(name).suffix or pathlib.Path(name).exists()
    return name if is_path else None


def _new_model(options, manifest, split, features):
    def image_encoder_of(embedding_dim):
        name = options["image_encoder"]
        if name == _SMALL:
            return image_encoder(manifest.image_size, embedding_dim)
        if features is not None:
            read = ImageFeatures(features, options["data"], split)
            return feature_encoder(read.num_features, embedding_dim)
        return application_encoder(
            name,
            manifest.image_size,
            embedding_dim,
            weights=options["image_weights"],
            frozen=options["freeze_images"],
        )

    return new_joint_embedding(
        options["preset"],
        preset("text_encoder", options["preset"])["training"],
        options["data"],
        split,
        options["seed"],
        image_encoder_of,
        image_network=(
            options["image_encoder"]
            if options["image_encoder"] in IMAGE_NETWORKS
            else None
        ),
    )


def new_joint_embedding(
    name, training, data, split, seed, image_encoder_of, image_network=None
):
    """Makes an untrained `JointEmbedding`.

    Args:
        name: string. Preset whose layers the text encoder has.
        training: dict. The `training` of a preset.
        data: path of a prepared data set.
        split: string. That to train on.
        seed: int.
        image_encoder_of: function of the size of the embeddings to an image
            encoder.
        image_network: string or `None`, as in `JointEmbedding`.

    Raises:
        ValueError: the data set is damaged, or has no classes for a class head.
    """
    arguments = {}
    if training["vocabulary_size"] is not None:
        arguments["vocabulary"] = _vocabulary(
            data, split, training["vocabulary_size"]
        )
    text_encoder = CharCNNRNN.from_preset(name, **arguments)
    if training["uniform_initialization"] is not None:
        initialize_uniformly(
            text_encoder, training["uniform_initialization"], seed
        )
    num_classes = None
    if training["class_head_weight"]:
        num_classes = len(read_manifest(data).class_names)
        if not num_classes:
            raise ValueError(
                "A class head needs a data set with classes. Received: "
                f"{str(data)!r}, which has none."
            )
    return JointEmbedding(
        text_encoder,
        image_encoder_of(text_encoder.embedding_dim),
        similarity=training["similarity"],
        num_classes=num_classes,
        class_head_weight=training["class_head_weight"],
        image_network=image_network,
    )


def epoch_steps(training, data, split, num_rows):
    """Returns how many steps an epoch has.

    Args:
        training: dict. The `training` of a preset.
        data: path of a prepared data set.
        split: string.
        num_rows: int. Images in a step.

    Returns:
        int.
    """
    if training["steps_per_epoch"] == "classes":
        # As the released code counts, whatever the number of images.
        class_ids = PreparedExamples(data, split).class_ids
        if class_ids is not None:
            return len(np.unique(class_ids))
    return max(1, num_images(read_manifest(data), split) // num_rows)


def compile_for(model, training, steps_per_epoch):
    """Compiles a `JointEmbedding` as the `training` of a preset says."""
    learning_rate = training["learning_rate"]
    if training["decay_share"] is not None:
        learning_rate = LinearDecay(learning_rate)
    elif training["decay_per_epoch"] is not None:
        learning_rate = keras.optimizers.schedules.ExponentialDecay(
            learning_rate,
            steps_per_epoch,
            decay_rate=training["decay_per_epoch"],
            staircase=True,
        )
    averaging = {}
    if training["ema_momentum"] is not None:
        averaging = {"use_ema": True, "ema_momentum": training["ema_momentum"]}
    ((loss, loss_options),) = training["loss"].items()
    model.compile(
        _OPTIMIZERS[training["optimizer"]](learning_rate, **averaging),
        _LOSSES[loss](**loss_options),
    )
    return model


def _rmsprop(learning_rate, **averaging):
    # As Torch's, which adds 1e-8 to the root.
    return keras.optimizers.RMSprop(
        learning_rate, rho=0.99, epsilon=1e-16, **averaging
    )


_OPTIMIZERS = {"adam": keras.optimizers.Adam, "rmsprop": _rmsprop}


def _vocabulary(data, split, size):
    examples = PreparedExamples(data, split)
    captions = (
        caption
        for index in range(len(examples))
        for caption in examples.read(index).captions
    )
    return vocabulary_of(captions, size)


def initialize_uniformly(model, limit, seed):
    """Draws all weights anew, uniformly from `-limit` to `limit`."""
    generator = np.random.default_rng(seed)
    model.set_weights(
        [
            generator.uniform(-limit, limit, weight.shape)
            for weight in model.weights
        ]
    )
