"""Loads models from run folders and files, also to train them on."""

import pathlib
from typing import Any

from keras_t2i.callbacks.checkpoints import checkpoint_path
from keras_t2i.errors import first_line
from keras_t2i.files import file_sha256
from keras_t2i.keras_files import load_keras_file
from keras_t2i.keras_files import load_preset_folder
from keras_t2i.keras_files import preset_weights
from keras_t2i.models.from_recipe import OF_NETWORKS
from keras_t2i.models.from_recipe import PRESETS
from keras_t2i.models.from_recipe import load_pretrained_gan
from keras_t2i.models.style_encoder import StyleEncoder
from keras_t2i.models.style_inversion import StyleInversion
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.pretrained.network_files import is_pretrained
from keras_t2i.pretrained.network_files import names_with_style_encoder
from keras_t2i.pretrained.network_files import pretrained_description
from keras_t2i.pretrained.network_files import pretrained_text_encoder
from keras_t2i.recipes.recipe import FINE_TUNING_MINUTES
from keras_t2i.recipes.recipe import Recipe
from keras_t2i.text.char_cnn_rnn import CharCNNRNN
from keras_t2i.text.embeddings import PrecomputedEmbeddings
from keras_t2i.text.image_encoders import features_as_they_are
from keras_t2i.text.joint_embedding import JointEmbedding
from keras_t2i.torch_files.networks import load_reed_text_encoder
from keras_t2i.training.run_folder import RunFolder
from keras_t2i.training.run_folder import options_of_run
from keras_t2i.types import StrPath


def model_file(path: StrPath, name: str = "model") -> pathlib.Path:
    """Returns the model file of a folder, or the file itself.

    The file of a run folder is its `model.keras` or, if there is none yet, its
    last checkpoint; that of a folder of `save_to_preset` is the one of its
    weights. Raises `ValueError`, which calls the path by the `name` of its
    argument, if there is no such file.
    """
    if "://" in str(path):
        raise ValueError(
            f"`{name}` must name a run folder or a .keras file here. Received: "
            f"{str(path)!r}, the address of a served model."
        )
    path = pathlib.Path(path)
    if preset_weights(path).is_file():
        return preset_weights(path)
    if not path.is_dir():
        if path.is_file():
            return path
        raise ValueError(
            f"`{name}` must name a run folder or a .keras file, or be a name "
            "that `keras-t2i models` lists. Received: "
            f"{str(path)!r}, which is not there."
            + (
                " The address of a served model begins with http://."
                if "/v1/models/" in str(path)
                else ""
            )
            + (
                " The preset of this name has no weights."
                if str(path) in PRESETS and not is_pretrained(path)
                else ""
            )
        )
    run = RunFolder(path)
    if run.model.is_file():
        return run.model
    step = run.last_step()
    if not step:
        raise ValueError(
            f"`{name}` must name a run folder with a model. Received: "
            f"{str(path)!r}, which holds neither model.keras nor checkpoints."
        )
    return checkpoint_path(run.checkpoints, step)


def load_gan(path: StrPath) -> TextToImageGAN:
    """Returns the GAN of a run folder, a file or a preset with weights.

    A folder that `save_to_preset` has written will do, too. A file or folder
    that has the name of a preset takes precedence. The discriminator of a
    preset with weights is not for training: it is as small as can be, which
    saves two seconds.
    """
    if is_pretrained(path):
        recipe = Recipe.from_preset(path).override(
            discriminator_width=1, feature_network=None
        )
        return load_pretrained_gan(TextToImageGAN, path, recipe)
    return _load(path, "model", (TextToImageGAN,), "a text-to-image GAN")


def load_joint_embedding(path: StrPath) -> JointEmbedding:
    """Returns the text encoder and image encoder of a run folder or file.

    A .t7 file is an encoder published by Reed et al. (2016). Its image encoder
    returns the features of images as their embeddings.
    """
    if pathlib.Path(path).suffix == ".t7":
        text_encoder = load_reed_text_encoder(path)
        return JointEmbedding(
            text_encoder, features_as_they_are(text_encoder.embedding_dim)
        )
    if is_pretrained(path):
        raise ValueError(
            "`text_encoder` must name a run of train-text, which also has an "
            f"image encoder. Received: {str(path)!r}, a preset whose text "
            "encoder comes without one."
        )
    return _load(
        path,
        "text_encoder",
        (JointEmbedding,),
        "a run of train-text, which also has an image encoder",
    )


def load_text_encoder(path: StrPath) -> CharCNNRNN:
    """Returns the text encoder of a run folder, a file or a preset.

    The run may be one of `train-text`, which must have ended, or of `train`. A
    GAN in a folder of `save_to_preset` will do, too. A .t7 file is an encoder
    published by Reed et al. (2016).
    """
    if is_pretrained(path):
        return pretrained_text_encoder(path)
    if pathlib.Path(path).suffix == ".t7":
        return load_reed_text_encoder(path)
    model = _load(
        path,
        "text_encoder",
        (CharCNNRNN, JointEmbedding, TextToImageGAN),
        "a model with a text encoder",
    )
    ended = model_file(path).parent.name != "checkpoints"
    if isinstance(model, JointEmbedding) and not ended:
        # The embeddings are scaled when the training ends.
        raise ValueError(
            "`text_encoder` must name a run of train-text that has ended. "
            f"Received: {str(path)!r}, which holds only checkpoints. Resume it "
            "by `keras-t2i train-text --resume`, and let it end."
        )
    encoder = model if isinstance(model, CharCNNRNN) else model.text_encoder
    if isinstance(encoder, PrecomputedEmbeddings):
        raise ValueError(
            "`text_encoder` must name a model that reads texts. Received: "
            f"{str(path)!r}, a GAN that was trained on embeddings and has no "
            "text encoder."
        )
    return encoder


def networks_learned_from(path: str | None) -> list[str]:
    """Lists the networks that a text encoder or a GAN has learned from.

    These are the network of a preset with weights, and the one whose features
    the text encoder of a run has learned from, if its run still exists. A run
    that started from a GAN has the text encoder of that one. The list is empty
    if no network is known.

    `path` is that of a run folder or of a file in it, the name of a preset with
    weights, whatever else embeds texts or generates images, or `None`.
    """
    seen: set[str] = set()
    # Folders that were made anew may name each other.
    while isinstance(path, str) and path not in seen:
        if is_pretrained(path):
            network = Recipe.from_preset(path).feature_network
            return [] if network is None else [network]
        seen.add(path)
        options = options_of_run(path)
        network = options.get("image_encoder")
        if isinstance(network, str):
            return [network]
        path = options.get("model") or options.get("text_encoder")
    return []


def load_style_encoder(path: StrPath) -> StyleEncoder:
    """Returns the `StyleEncoder` of a run folder, a file or a preset."""
    if is_pretrained(path):
        return StyleEncoder.from_preset(path)
    model = _load(
        path,
        "style_encoder",
        (StyleEncoder, StyleInversion),
        "a run of train-style or its model",
    )
    return model if isinstance(model, StyleEncoder) else model.style_encoder


def load_style_encoder_for(
    gan_path: StrPath, path: StrPath | None
) -> StyleEncoder | None:
    """Returns the style encoder to use with a GAN, or `None` if there is none.

    `gan_path` is a path or name, as for `load_gan`, and `path` that of the
    style encoder. A `path` of `None` stands for the one that comes with the
    GAN.
    """
    if path is not None:
        return load_style_encoder(path)
    if is_pretrained(gan_path) and gan_path in names_with_style_encoder():
        return load_style_encoder(gan_path)
    return None


def fine_tuning_recipe(model: str) -> Recipe:
    """Returns the recipe of a trained GAN, for `FINE_TUNING_MINUTES`.

    The noise on the images that the discriminator sees continues at the level
    that it has fallen to: the full noise would remove details again.
    Mismatching pairs that have begun to count do so from the start. The devices
    are those of this machine, not of that training.

    `model` is the path of a run folder, of a file or of a folder of
    `save_to_preset`, or the name of a preset with weights. Raises `ValueError`
    if there is no such GAN, or it was made without a recipe.
    """
    if is_pretrained(model):
        recipe = Recipe.from_preset(model)
    else:
        gan = load_gan(model)
        recipe = _recipe_of(gan, model)
        if recipe.image_noise_half_life is not None:
            passed = int(gan.steps_trained) / recipe.image_noise_half_life
            recipe = recipe.override(
                image_noise=recipe.image_noise * 0.5**passed
            )
        recipe = recipe.override(
            image_size=gan.image_size, **_stage_of_matching(gan)
        )
    return recipe.override(
        minutes=FINE_TUNING_MINUTES, keep_best=None, strategy="none"
    )


def _stage_of_matching(gan: TextToImageGAN) -> dict[str, Any]:
    """Returns the fields of the recipe that go on with `StagedMatching`."""
    schedule = gan.matching_schedule
    if schedule is None:
        return {}
    if schedule.factor(gan.steps_trained) > 0.0:
        return {
            "matching_start_step": None,
            "matching_accuracy_threshold": None,
        }
    if schedule.start_step is None:
        return {}
    left = schedule.start_step - int(gan.steps_trained)
    return {"matching_start_step": left}


def load_source(
    model: str, recipe: Recipe, has_embeddings: bool
) -> TextToImageGAN:
    """Returns the trained GAN that a training begins with.

    The discriminator of a preset with weights is new. `model` is as for
    `fine_tuning_recipe`. `recipe` is that of the training, with its
    `image_size`, and `has_embeddings` says whether the training has embeddings
    of its own. Raises `ValueError` if there is no such GAN, or it does not fit.
    """
    # Not by `load_gan`, whose discriminator cannot be trained.
    gan = (
        TextToImageGAN.from_preset(model)
        if is_pretrained(model)
        else load_gan(model)
    )
    expected = _recipe_of(gan, model).override(image_size=gan.image_size)
    for name in sorted(OF_NETWORKS):
        value, received = getattr(expected, name), getattr(recipe, name)
        if value != received:
            # As the option is called.
            name = "width" if name == "discriminator_width" else name
            raise ValueError(
                f"`{name}` must be that of `model`, {value!r}, whose networks "
                f"stay as they are. Received: {received!r}. Leave it out, or "
                "train from the start, without `model`."
            )
    reads_texts = not isinstance(gan.text_encoder, PrecomputedEmbeddings)
    if not reads_texts and not has_embeddings:
        raise ValueError(
            "A `model` that reads no texts is trained with `text_embeddings` "
            f"PATH. Received: {model!r}, without them."
        )
    return gan


def take_weights(gan: TextToImageGAN, source: TextToImageGAN) -> None:
    """Gives a GAN the weights of another one with the same networks."""
    for name in ("generator", "discriminator", "ema_generator"):
        weights = getattr(source, name).get_weights()
        getattr(gan, name).set_weights(weights)


def gan_digest(model: str, run: RunFolder) -> str | None:
    """Returns the SHA-256 digest of the file of a trained GAN.

    `model` is a path or name, as for `fine_tuning_recipe`. If `run`, which is
    trained from it, has read it, the file may be gone: the digest is the run's.
    """
    if run.has_read("model", model):
        return run.digest("model")
    if is_pretrained(model):
        return pretrained_description(model)["files"]["generator.npz"]
    return file_sha256(model_file(model))


def _recipe_of(gan: TextToImageGAN, model: str) -> Recipe:
    if gan.recipe is None:
        raise ValueError(
            "`model` must be a GAN that was made from a recipe, by `train` or "
            f"`from_preset`. Received: {model!r}, made without one. Train it "
            "by its own `fit`."
        )
    return gan.recipe


def _load(
    path: StrPath, name: str, kinds: tuple[type, ...], expected: str
) -> Any:
    file = model_file(path, name)
    try:
        # Without the optimizers, which cannot be loaded under another
        # precision than theirs.
        model = (
            load_preset_folder(path)
            if file == preset_weights(path)
            else load_keras_file(file)
        )
    except Exception as error:
        # Keras raises errors of many kinds for files that are not models.
        raise ValueError(
            f"`{name}` must name a model saved by this library. Received: "
            f"{str(file)!r}, which cannot be loaded: {first_line(error)}"
        ) from error
    if not isinstance(model, kinds):
        raise ValueError(
            f"`{name}` must name {expected}. Received: {str(path)!r}, a "
            f"{type(model).__name__}."
        )
    return model
