"""Exports a GAN as a SavedModel that TensorFlow Serving answers from."""

import os
import pathlib

import keras
import tensorflow as tf

from keras_t2i.export.model_folder import BATCHING_PARAMETERS_FILE
from keras_t2i.export.model_folder import MADE_BY
from keras_t2i.export.model_folder import MAX_BATCH_SIZE
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
from keras_t2i.models.style_encoder import check_style_encoder
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.types import StrPath


def export_saved_model(
    gan: TextToImageGAN,
    path: StrPath,
    version: int | None = None,
    style_encoder: keras.Model | None = None,
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

    Returns:
        `pathlib.Path`. The folder of the version, which is written atomically.

    Raises:
        ValueError: the version exists, the name cannot be served, the style
            encoder does not fit, or the folder holds a README that no export
            has written.

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
    path = pathlib.Path(os.path.abspath(path))
    check_name(path.name)
    if style_encoder is not None:
        check_style_encoder(style_encoder, gan)
    if version is not None:
        version_folder(path, version)  # Raises for what is not a version.
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
        _export(gan, path, folder, style_encoder)
    return folder


def _export(
    gan: TextToImageGAN,
    path: pathlib.Path,
    folder: pathlib.Path,
    style_encoder: keras.Model | None,
) -> None:
    signatures = make_signatures(gan, style_encoder)
    with atomic_new_folder(folder) as temporary:
        tf.saved_model.save(
            _Weights(gan, style_encoder), str(temporary), signatures=signatures
        )
        extra = temporary / "assets.extra"
        extra.mkdir()
        write_warm_up_requests(
            extra / "tf_serving_warmup_requests",
            path.name,
            signatures,
            (1, MAX_BATCH_SIZE),
        )
        config = models_config({path.name: f"/models/{path.name}"})
        for file, content in {
            MODELS_CONFIG_FILE: config,
            BATCHING_PARAMETERS_FILE: batching_parameters(),
            "README.md": readme(path.name, folder.name, signatures),
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

    def __init__(self, gan: TextToImageGAN, style_encoder: keras.Model | None):
        super().__init__()
        networks = [gan.text_encoder, gan.ema_generator]
        if style_encoder is not None:
            networks.append(style_encoder)
        self.weights = [
            weight.value for network in networks for weight in network.weights
        ]
