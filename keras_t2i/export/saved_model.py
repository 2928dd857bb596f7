"""Exports a GAN as a SavedModel that TensorFlow Serving answers from."""

import contextlib
import os
import pathlib
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextlib import nullcontext
from typing import Any

import keras
import tensorflow as tf

from keras_t2i.checks import check_whole_number
from keras_t2i.export.model_folder import BATCHING_PARAMETERS_FILE
from keras_t2i.export.model_folder import MADE_BY
from keras_t2i.export.model_folder import MAX_BATCH_SIZE
from keras_t2i.export.model_folder import MAX_STYLE_PIXELS
from keras_t2i.export.model_folder import MODELS_CONFIG_FILE
from keras_t2i.export.model_folder import batching_parameters
from keras_t2i.export.model_folder import check_name
from keras_t2i.export.model_folder import models_config
from keras_t2i.export.model_folder import next_version
from keras_t2i.export.model_folder import readme
from keras_t2i.export.model_folder import version_folder
from keras_t2i.export.signatures import make_signatures
from keras_t2i.export.warm_up import write_warm_up_requests
from keras_t2i.files import atomic_new_folder
from keras_t2i.files import locked_folder
from keras_t2i.files import os_error
from keras_t2i.files import write_checksums
from keras_t2i.models.style_encoder import check_style_encoder
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.text.embeddings import check_reads_texts
from keras_t2i.types import StrPath


class HalfPrecisionWeights:
    """Copies of the weights of networks in half precision.

    Vectors, such as those of normalization, stay as they are: they are small.
    So are all weights in half precision that come with the library. A
    SavedModel must hold the `variables`. Raises `ValueError` if a weight is not
    finite, or too large for half precision.
    """

    def __init__(self, networks: Sequence[keras.Model]):
        self.variables: list[tf.Variable] = []
        self._copies: list[tuple[Any, tf.Variable]] = []
        for weight in (w for network in networks for w in network.weights):
            variable = weight.value
            if weight.dtype == "float32" and len(weight.shape) > 1:
                half = tf.cast(variable, tf.float16)
                if not tf.reduce_all(tf.math.is_finite(half)):
                    raise ValueError(
                        f"{weight.path} must be finite in half precision. "
                        f"Received: values up to "
                        f"{tf.reduce_max(tf.abs(variable)).numpy():g}. Export "
                        "without `half_precision`."
                    )
                variable = tf.Variable(half, trainable=False, name=weight.name)
                self._copies.append((weight, variable))
            self.variables.append(variable)

    def in_use(self) -> contextlib.AbstractContextManager[Any]:
        """Makes the networks compute with the copies, within a graph."""
        return keras.StatelessScope(
            [
                (weight, tf.cast(half, "float32"))
                for weight, half in self._copies
            ]
        )


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
    _check_readme(path / "README.md")
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
    scope: Callable[[], AbstractContextManager[Any]] = nullcontext
    if half_precision:
        weights = HalfPrecisionWeights(networks)
        variables, scope = weights.variables, weights.in_use
    else:
        variables = [w.value for network in networks for w in network.weights]
    signatures = make_signatures(gan, style_encoder, max_style_pixels, scope)
    with atomic_new_folder(folder) as temporary:
        extra = temporary / "assets.extra"
        extra.mkdir()
        try:
            tf.saved_model.save(
                _Weights(variables),
                str(temporary),
                signatures=signatures,
            )
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


def _check_readme(path: pathlib.Path) -> None:
    if path.exists() and MADE_BY not in path.read_text("utf-8", "replace"):
        raise ValueError(
            "`path` must be a folder of its own for the model, such as "
            f"saved_models/flowers. Received: {str(path.parent)!r}, which "
            "holds a README.md that is not of an export."
        )


class _Weights(tf.Module):
    """The weights of the served networks.

    Only the variables: a SavedModel with a Keras model in it holds each weight
    twice, or TensorFlow Serving cannot load it, depending on how it is saved.
    """

    def __init__(self, variables: list[tf.Variable]):
        super().__init__()
        self.weights = variables
