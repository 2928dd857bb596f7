"""Exports a GAN as a SavedModel that TensorFlow Serving answers from."""

import os
import pathlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from contextlib import nullcontext
from typing import Any

import keras
import tensorflow as tf

from keras_t2i.checks import check_whole_number
from keras_t2i.export.model_folder import BATCHING_PARAMETERS_FILE
from keras_t2i.export.model_folder import EXAMPLE_TEXT
from keras_t2i.export.model_folder import MADE_BY
from keras_t2i.export.model_folder import MAX_BATCH_SIZE
from keras_t2i.export.model_folder import MAX_STYLE_PIXELS
from keras_t2i.export.model_folder import MODELS_CONFIG_FILE
from keras_t2i.export.model_folder import Signatures
from keras_t2i.export.model_folder import batching_parameters
from keras_t2i.export.model_folder import check_name
from keras_t2i.export.model_folder import input_specs
from keras_t2i.export.model_folder import models_config
from keras_t2i.export.model_folder import next_version
from keras_t2i.export.model_folder import readme
from keras_t2i.export.model_folder import version_folder
from keras_t2i.export.signatures import make_signatures
from keras_t2i.files import atomic_new_folder
from keras_t2i.files import locked_folder
from keras_t2i.files import os_error
from keras_t2i.files import write_checksums
from keras_t2i.models.style_encoder import check_style_encoder
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.text.embeddings import check_reads_texts
from keras_t2i.types import StrPath
from keras_t2i.types import Tensor

# Field numbers of tensorflow_serving/apis: prediction_log.proto, predict.proto
# and model.proto.
_LOG_PREDICT = 6
_PREDICT_LOG_REQUEST = 1
_REQUEST_MODEL, _REQUEST_INPUTS = 1, 2
_MODEL_NAME, _MODEL_SIGNATURE = 1, 3
# Of the entries of a map, in every message.
_KEY, _VALUE = 1, 2


def export_saved_model(
    gan: TextToImageGAN,
    path: StrPath,
    version: int | None = None,
    style_encoder: keras.Model | None = None,
    max_style_pixels: int = MAX_STYLE_PIXELS,
    half_precision: bool = False,
) -> pathlib.Path:
    """Writes a SavedModel that takes texts and returns PNG images.

    It holds the text encoder, the exponential moving average of the generator,
    and everything else between a string and an image. `docs/serving.md` lists
    its signatures. Beside the version's folder come the configuration of
    TensorFlow Serving and a README with requests to copy.

    Args:
        gan: `TextToImageGAN`.
        path: path of the model's folder, such as `saved_models/flowers`. Its
            last part is the name that the model is served by: letters,
            digits, `.`, `_` and `-`.
        version: int, at least 1. Servers answer from the highest one.
            Defaults to `None`: one more than the highest that is there.
        style_encoder: `keras.Model` from float32 images in [-1, 1], `(batch,
            image_size, image_size, 3)`, to noise, `(batch, noise_dim)`.
            Defaults to `None`: there is no signature `transfer_style`.
        max_style_pixels: int, at least 1. A style image of more pixels counts
            as plain gray. A server takes 20 bytes per pixel while it decodes a
            PNG, and does not give them all back. Defaults to `2**24`.
        half_precision: bool. Whether to store kernels in half precision, which
            halves the file. They are cast to float32 where they are used.
            Defaults to `False`.

    Returns:
        `pathlib.Path`. The folder of the version, which is written atomically.

    Raises:
        ValueError: the version exists, the name cannot be served, the style
            encoder does not fit, or the folder holds a README that no export
            has written, or a weight is too large for half precision.
        OSError: the folder cannot be written, such as on a full disk.

    Example:

    >>> gan = keras_t2i.TextToImageGAN.from_preset(
    ...     "gan_int_cls",
    ...     image_size=32,
    ...     width=4,
    ...     text_encoder=keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16),
    ... )
    >>> folder = tempfile.mkdtemp()
    >>> path = keras_t2i.export.export_saved_model(gan, folder + "/flowers")
    >>> served = tf.saved_model.load(path).signatures["serving_default"]
    >>> seed = tf.constant([7], tf.int64)
    >>> answer = served(text=tf.constant(["a rose"]), seed=seed)
    >>> image = tf.io.decode_png(answer["image_bytes"][0])
    >>> bool(np.all(image == gan.generate("a rose", seed=7)[0]))
    True
    """
    if not isinstance(gan, TextToImageGAN):
        raise ValueError(
            f"`gan` must be a `TextToImageGAN`. Received: {gan!r:.200}. Load "
            "it by `TextToImageGAN.from_preset` or "
            "`keras.saving.load_model`."
        )
    path = pathlib.Path(os.path.abspath(path))
    check_name(path.name)
    if style_encoder is not None:
        check_reads_texts(gan.text_encoder)
        check_style_encoder(style_encoder, gan)
    if version is not None:
        version_folder(path, version)  # Raises for what is not a version.
    check_whole_number(max_style_pixels, "max_style_pixels", at_least=1)
    _check_folder(path)
    path.mkdir(parents=True, exist_ok=True)
    # Another process may be exporting to the same folder.
    with locked_folder(path):
        folder = version_folder(path, version or next_version(path))
        if folder.exists():
            raise ValueError(
                f"`version` must not be there yet. Received: {version}, and "
                f"{str(folder)!r} is there. Leave `version` out to take the "
                "next."
            )
        _export(
            gan, path, folder, style_encoder, max_style_pixels, half_precision
        )
    return folder


def _export(
    gan: TextToImageGAN,
    path: pathlib.Path,
    folder: pathlib.Path,
    style_encoder: keras.Model | None,
    max_style_pixels: int,
    half_precision: bool,
) -> None:
    networks = [gan.text_encoder, gan.ema_generator]
    if style_encoder is not None:
        networks.append(style_encoder)
    weights = [weight for network in networks for weight in network.weights]
    stored = [_halved(w) if half_precision else w.value for w in weights]

    def with_stored() -> AbstractContextManager[Any]:
        return keras.StatelessScope(
            [
                (weight, tf.cast(value, "float32"))
                for weight, value in zip(weights, stored)
                if value is not weight.value
            ]
        )

    scope = with_stored if half_precision else nullcontext
    signatures = make_signatures(gan, style_encoder, max_style_pixels, scope)
    # Only the variables: a SavedModel with a Keras model in it holds each
    # weight twice, or TensorFlow Serving cannot load it, depending on how it
    # is saved.
    module = tf.Module()
    module.weights = stored
    with atomic_new_folder(folder) as temporary:
        extra = temporary / "assets.extra"
        extra.mkdir()
        try:
            tf.saved_model.save(module, str(temporary), signatures=signatures)
            write_warm_up_requests(
                extra / "tf_serving_warmup_requests",
                path.name,
                signatures,
                (1, MAX_BATCH_SIZE),
            )
        except tf.errors.OpError as error:
            raise os_error(error.message, folder) from error
        # Of its own checksums, a SavedModel has none of its graph.
        write_checksums(
            temporary,
            sorted(
                file.relative_to(temporary).as_posix()
                for file in temporary.rglob("*")
                if file.is_file()
            ),
        )
        config = models_config({path.name: f"/models/{path.name}"})
        for file, content in {
            MODELS_CONFIG_FILE: config,
            BATCHING_PARAMETERS_FILE: batching_parameters(),
            "README.md": readme(
                path.name, folder.name, signatures, max_style_pixels
            ),
        }.items():
            # The user may have tuned the configuration.
            if file != "README.md" and (path / file).exists():
                continue
            # Through the temporary folder, so that the write is atomic. And
            # before the version appears, which a server may be waiting for.
            (temporary / file).write_text(content, "utf-8")
            os.replace(temporary / file, path / file)


def _check_folder(path: pathlib.Path) -> None:
    readme = path / "README.md"
    if path.exists() and not path.is_dir():
        found = "is a file"
    elif readme.exists() and MADE_BY not in readme.read_text(
        "utf-8", "replace"
    ):
        found = "holds a README.md that is not of an export"
    else:
        return
    raise ValueError(
        "`path` must be a folder of its own for the model, such as "
        f"saved_models/flowers. Received: {str(path)!r}, which {found}."
    )


def _halved(weight: keras.Variable) -> tf.Variable:
    """Returns a copy in half precision, or of a small weight the variable.

    All weights in half precision that come with the library are such copies.
    """
    if weight.dtype != "float32" or len(weight.shape) < 2:
        return weight.value
    half = tf.cast(weight.value, tf.float16)
    if not tf.reduce_all(tf.math.is_finite(half)):
        raise ValueError(
            f"{weight.path} must be finite in half precision. Received: values "
            f"up to {tf.reduce_max(tf.abs(weight.value)).numpy():g}. Export "
            "without `half_precision`."
        )
    return tf.Variable(half, trainable=False, name=weight.name)


def write_warm_up_requests(
    path: StrPath,
    model_name: str,
    signatures: Signatures,
    batch_sizes: Iterable[int],
) -> None:
    """Writes requests that a server answers when it loads a model.

    One for each signature and number of rows: the server is then warm.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, function in signatures.items():
            specs = input_specs(function)
            for num_rows in batch_sizes:
                inputs = {key: _rows(specs[key], num_rows) for key in specs}
                writer.write(_prediction_log(model_name, name, inputs))


def _rows(spec: Any, num_rows: int) -> Tensor:
    """Any rows that a signature takes."""
    shape = [num_rows, *spec.shape[1:]]
    if spec.dtype != tf.string:
        return tf.zeros(shape, spec.dtype)
    if spec.name.endswith("_bytes"):
        return tf.io.encode_png(tf.zeros([*shape, 8, 8, 3], tf.uint8))
    return tf.fill(shape, EXAMPLE_TEXT)


def _prediction_log(
    model_name: str, signature: str, inputs: dict[str, Tensor]
) -> bytes:
    # By hand: an export needs these four small messages, and nothing else of
    # the package that has their classes.
    model = _field(_MODEL_NAME, model_name.encode())
    model += _field(_MODEL_SIGNATURE, signature.encode())
    request = _field(_REQUEST_MODEL, model)
    for name, rows in inputs.items():
        tensor = tf.make_tensor_proto(rows).SerializeToString()
        entry = _field(_KEY, name.encode()) + _field(_VALUE, tensor)
        request += _field(_REQUEST_INPUTS, entry)
    return _field(_LOG_PREDICT, _field(_PREDICT_LOG_REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, a string or a message."""
    length_delimited = 2
    tag = _varint(number << 3 | length_delimited)
    return tag + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits per byte, the lowest first; the eighth says: more follow."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
