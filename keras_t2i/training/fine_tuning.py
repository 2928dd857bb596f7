"""What the training of a GAN takes over from a trained one."""

from keras_t2i.files import file_sha256
from keras_t2i.keras_files import preset_weights
from keras_t2i.models.from_recipe import OF_NETWORKS
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.pretrained.network_files import is_pretrained
from keras_t2i.pretrained.network_files import pretrained_description
from keras_t2i.recipes.recipe import FINE_TUNING_MINUTES
from keras_t2i.recipes.recipe import Recipe
from keras_t2i.text.embeddings import PrecomputedEmbeddings
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.model_files import model_file


def fine_tuning_recipe(model: str) -> Recipe:
    """Returns the recipe of a trained GAN, for `FINE_TUNING_MINUTES`.

    The noise on the images that the discriminator sees continues at the level
    that it has fallen to: the full noise would remove details again. The
    devices are those of this machine and not of that training.

    `model` is the path of a run folder, of a file or of a folder of
    `save_to_preset`, or the name of a preset with weights. Raises `ValueError`
    if there is no such GAN, or it was made without a recipe.
    """
    if is_pretrained(model):
        recipe = Recipe.from_preset(model)
    else:
        gan = load_gan(model, "`model`")
        recipe = _recipe_of(gan, model)
        if recipe.image_noise_half_life is not None:
            passed = int(gan.steps_trained) / recipe.image_noise_half_life
            recipe = recipe.override(
                image_noise=recipe.image_noise * 0.5**passed
            )
    return recipe.override(
        minutes=FINE_TUNING_MINUTES, keep_best=None, strategy="none"
    )


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
        else load_gan(model, "`model`")
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


def gan_digest(model: str) -> str:
    """Returns the SHA-256 digest of the file of a trained GAN.

    `model` is a path or name, as for `fine_tuning_recipe`.
    """
    if is_pretrained(model):
        return pretrained_description(model)["files"]["generator.npz"]
    path = preset_weights(model)
    if not path.is_file():
        path = model_file(model, "`model`")
    return file_sha256(path)


def _recipe_of(gan: TextToImageGAN, model: str) -> Recipe:
    if gan.recipe is None:
        raise ValueError(
            "`model` must be a GAN that was made from a recipe, by `train` or "
            f"`from_preset`. Received: {model!r}, made without one. Train it "
            "by its own `fit`."
        )
    return gan.recipe
