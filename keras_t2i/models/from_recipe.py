"""A GAN by its recipe: networks, options, optimizers; saved and loaded."""

from typing import Any
from typing import Self

import keras
import tensorflow as tf

from keras_t2i.checks import check_text_encoder
from keras_t2i.checks import size_of_embeddings
from keras_t2i.keras_files import is_folder
from keras_t2i.keras_files import load_preset_folder
from keras_t2i.keras_files import save_preset_folder
from keras_t2i.linear_decay import LinearDecay
from keras_t2i.models.discriminator import Discriminator
from keras_t2i.models.discriminator import DiscriminatorEnsemble
from keras_t2i.models.discriminator import members_of
from keras_t2i.models.feature_discriminator import FeatureDiscriminator
from keras_t2i.models.generator import Generator
from keras_t2i.models.generator import ModulatedGenerator
from keras_t2i.models.normalization import standardizations_of
from keras_t2i.models.pixel_discriminator import PixelDiscriminator
from keras_t2i.models.staged_matching import StagedMatching
from keras_t2i.pretrained.network_files import load_pretrained_weights
from keras_t2i.pretrained.network_files import pretrained_description
from keras_t2i.pretrained.network_files import pretrained_names
from keras_t2i.pretrained.network_files import pretrained_text_encoder
from keras_t2i.recipes.base_recipe import presets
from keras_t2i.recipes.recipe import Recipe
from keras_t2i.text.char_cnn_rnn import CharCNNRNN

_DEFAULT_IMAGE_SIZE = 64
# Where an argument's attribute has another name.
_ATTRIBUTES = {"interpolate": "interpolate_texts"}
# The fields that the networks are made of, which trained ones cannot change.
OF_NETWORKS = {
    "image_size",
    "generator",
    "generator_width",
    "falling_channels",
    "residual_blocks",
    "full_resolution",
    "discriminator",
    "discriminator_width",
    "fusion_size",
    "as_released",
    "penalty_weight",
    "penalty_interval",
    "feature_network",
    "feature_width",
    "feature_size",
}
PRESETS = presets("gan") | {
    name: pretrained_description(name) for name in pretrained_names()
}


def networks_of_recipe(
    recipe: Recipe, text_encoder: keras.Model | None
) -> tuple[keras.Model, keras.Model, keras.Model]:
    """Returns an untrained generator and discriminator, and the text encoder.

    A `text_encoder` of `None` stands for a new `CharCNNRNN`.
    """
    text_encoder = CharCNNRNN() if text_encoder is None else text_encoder
    check_text_encoder(text_encoder)
    shared = {
        "image_size": recipe.image_size or _DEFAULT_IMAGE_SIZE,
        "text_embedding_dim": size_of_embeddings(text_encoder),
    }
    if recipe.generator == "Generator":
        generator = Generator(
            width=recipe.generator_width,
            residual_blocks=recipe.residual_blocks,
            falling_channels=recipe.falling_channels,
            **shared,
        )
    else:
        generator = ModulatedGenerator(
            width=recipe.generator_width,
            full_resolution=recipe.full_resolution,
            **shared,
        )
    members = []
    if recipe.discriminator == "Discriminator":
        members.append(
            Discriminator(
                width=recipe.discriminator_width,
                fusion_size=recipe.fusion_size,
                as_released=recipe.as_released,
                falling_channels=recipe.falling_channels,
                **shared,
            )
        )
    elif recipe.discriminator == "PixelDiscriminator":
        members.append(
            PixelDiscriminator(
                width=recipe.discriminator_width,
                penalty_weight=recipe.penalty_weight,
                penalty_interval=recipe.penalty_interval,
                **shared,
            )
        )
    if recipe.feature_network is not None:
        members.append(
            FeatureDiscriminator(
                width=recipe.feature_width,
                network=recipe.feature_network,
                network_size=recipe.feature_size,
                **shared,
            )
        )
    discriminator = (
        members[0] if len(members) == 1 else DiscriminatorEnsemble(members)
    )
    return generator, discriminator, text_encoder


def gan_options(gan_class: Any, recipe: Recipe) -> dict[str, Any]:
    """Returns the arguments of a `TextToImageGAN` beside its networks.

    They are those fields of the recipe that its constructor has, too.
    """
    options = {
        name: getattr(recipe, name)
        for name in Recipe.names()
        if name in gan_class.arguments and name not in OF_NETWORKS
    }
    schedule = None
    start_step = recipe.matching_start_step
    accuracy_threshold = recipe.matching_accuracy_threshold
    if (start_step, accuracy_threshold) != (None, None):
        schedule = StagedMatching(
            start_step=start_step,
            accuracy_threshold=accuracy_threshold,
            patience=recipe.matching_patience,
            rise_steps=recipe.matching_rise_steps,
        )
    return {
        **options,
        "matching_schedule": schedule,
        "recipe": recipe,
    }


def gan_optimizer(
    recipe: Recipe | None, network: str, steps_per_epoch: int | None = None
) -> keras.optimizers.Optimizer:
    """Makes the Adam optimizer of `network`.

    `network` is `"generator"` or `"discriminator"`. A `recipe` of `None` stands
    for the optimizer of the paper. If `steps_per_epoch` is `None`, the learning
    rate is not halved after some epochs.
    """
    if recipe is None:
        return keras.optimizers.Adam(2e-4, beta_1=0.5)
    learning_rate = getattr(recipe, f"{network}_learning_rate")
    if recipe.epochs_per_halving is not None and steps_per_epoch is not None:
        learning_rate = keras.optimizers.schedules.ExponentialDecay(
            learning_rate,
            recipe.epochs_per_halving * steps_per_epoch,
            decay_rate=0.5,
            staircase=True,
        )
    if recipe.decay_share is not None:
        learning_rate = LinearDecay(learning_rate)
    return keras.optimizers.Adam(
        learning_rate, beta_1=recipe.beta_1, beta_2=recipe.beta_2
    )


class MadeFromRecipe(keras.Model):
    """What makes, saves and loads a `TextToImageGAN` by a recipe."""

    presets = PRESETS

    @property
    def recipe(self) -> Recipe | None:
        """`Recipe` that it was made by, or `None`."""
        return self._recipe

    @recipe.setter
    def recipe(self, recipe: Recipe | None) -> None:
        if not isinstance(recipe, Recipe | None):
            raise ValueError(
                f"`recipe` must be a `Recipe` or None. Received: {recipe!r}"
            )
        self._recipe = recipe

    @classmethod
    def from_recipe(
        cls, recipe: Recipe, *, text_encoder: keras.Model | None = None
    ) -> Self:
        """Makes an untrained GAN from a recipe.

        Args:
            recipe: `keras_t2i.Recipe`. Its `precision`, `strategy` and duration
                are for `keras_t2i.train`.
            text_encoder: `keras.Model` from `token_ids` to embeddings.
                Defaults to `None`: a new `CharCNNRNN`.

        Returns:
            `TextToImageGAN`.
        """
        networks = networks_of_recipe(recipe, text_encoder)
        return cls(*networks, **gan_options(cls, recipe))

    @classmethod
    def from_preset(
        cls,
        name_or_folder: str,
        *,
        text_encoder: keras.Model | None = None,
        **overrides: Any,
    ) -> Self:
        """Makes an untrained GAN from a preset, or loads a trained one.

        A preset with weights, such as `"gan_int_cls_plus_flowers"`, has those
        of the generator and of the text encoder. Its discriminator is new.

        Args:
            name_or_folder: string. One of `TextToImageGAN.presets`, or path of
                a run folder with a `model.keras`, or of a folder that
                `save_to_preset` has written. A folder of a preset's name is
                found as `./name`.
            text_encoder: `keras.Model` from `token_ids` to embeddings.
                Defaults to `None`: that of the folder or of the preset with
                weights; otherwise a new `CharCNNRNN`.
            **overrides: fields of `keras_t2i.Recipe` in place of the preset's,
                or `width`, as of `Recipe.override`. Fields of the networks
                cannot be overridden where there are weights.

        Returns:
            `TextToImageGAN`, not compiled.

        Raises:
            ValueError: there is neither such a preset nor such a folder, or
                no such field.
        """
        if name_or_folder in pretrained_names():
            recipe = Recipe.from_preset(name_or_folder)
            gan = load_pretrained_gan(cls, name_or_folder, recipe)
        elif name_or_folder in PRESETS:
            _check_overrides(overrides)
            recipe = Recipe.from_preset(name_or_folder).override(**overrides)
            return cls.from_recipe(recipe, text_encoder=text_encoder)
        elif not is_folder(name_or_folder):
            raise ValueError(
                f"A preset must be one of {', '.join(PRESETS)}, or a folder. "
                f"Received: {str(name_or_folder)!r}, which is neither."
            )
        else:
            gan = load_preset_folder(name_or_folder)
        if not isinstance(gan, cls):
            raise ValueError(
                f"The folder must hold a `{cls.__name__}`. Received: "
                f"{str(name_or_folder)!r}, with a {type(gan).__name__}"
            )
        if text_encoder is None and not overrides:
            return gan
        return _with_overrides(gan, text_encoder, overrides)

    def save_to_preset(self, folder: str) -> None:
        """Writes the config and the weights, for `from_preset`.

        Args:
            folder: path of the folder to make.

        Raises:
            ValueError: the folder holds something else, such as a run.
            OSError: a file cannot be written.
        """
        save_preset_folder(self, folder)

    def make_dataset(
        self,
        path: str,
        split: str = "train",
        text_embeddings: str | None = None,
        **options: Any,
    ) -> tf.data.Dataset:
        """Makes the batches of the recipe.

        Where the recipe has `standardize_texts`, the networks take the mean and
        the deviation of `text_embeddings` over, unless they have such already.

        Args:
            path: path. Folder that `keras-t2i prepare` wrote.
            split: string. Defaults to `"train"`.
            text_embeddings: path, as of `keras_t2i.datasets.make_dataset`.
                Defaults to `None`: the batches hold `token_ids`, one caption
                per image, and mismatching texts of any other class.
            **options: arguments of `keras_t2i.datasets.make_dataset` in place
                of the recipe's.

        Returns:
            `tf.data.Dataset` of the dicts that
            `keras_t2i.datasets.make_dataset` makes.
        """
        # Not above: data sets reach text encoders, and those the networks.
        from keras_t2i.recipe_batches import recipe_batches

        return recipe_batches(
            self, self.recipe, path, split, text_embeddings, **options
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "interpolate": self.interpolate_texts,
            "recipe": self.recipe and self.recipe.to_dict(),
        }

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        custom_objects: dict[str, type] | None = None,
    ) -> Self:
        config = {**config, "recipe": _recipe_of_config(config)}
        # What earlier code has saved.
        config.pop("preset", None)
        return super().from_config(config, custom_objects)


def load_pretrained_gan(cls: Any, name: str, recipe: Recipe) -> keras.Model:
    """Returns a GAN with the weights that come with the package.

    `cls` is `TextToImageGAN`, and `name` is one of `pretrained_names`. `recipe`
    is the recipe of this name. Its discriminator, which is new, may be another
    one.
    """
    gan = cls.from_recipe(recipe, text_encoder=pretrained_text_encoder(name))
    for generator in (gan.generator, gan.ema_generator):
        load_pretrained_weights(generator, name, "generator.npz")
    standardize_as_the_generator(gan)
    return gan


def standardize_as_the_generator(gan: keras.Model) -> None:
    """Has a new discriminator see texts as the trained generator does."""
    # `make_dataset` standardizes for a GAN of which no network is adapted yet.
    (trained,) = standardizations_of(gan.generator)
    for member in members_of(gan.discriminator):
        for layer in standardizations_of(member):
            layer.set_weights(trained.get_weights())


def _with_overrides(
    gan: keras.Model,
    text_encoder: keras.Model | None,
    overrides: dict[str, Any],
) -> keras.Model:
    """Returns a trained GAN with other options or another text encoder.

    Raises `ValueError` if an option is none of a recipe, or one of the
    networks.
    """
    _check_overrides(overrides)
    fixed = sorted(({*OF_NETWORKS, "width"}) & set(overrides))
    if fixed:
        raise ValueError(
            "The networks of a trained GAN stay as they are. Received: "
            f"{', '.join(fixed)}. Begin with a preset without weights, such as "
            "'gan_int_cls_plus', to change them."
        )
    if gan.recipe is None and overrides:
        raise ValueError(
            "Only a GAN that was made from a recipe has options to override. "
            f"Received: one without, and {', '.join(overrides)}."
        )
    # The options may differ from the recipe, as `truncation` does once set.
    networks = ("generator", "discriminator", "text_encoder")
    options = {
        name: getattr(gan, _ATTRIBUTES.get(name, name))
        for name in gan.arguments
        if name not in networks
    }
    if gan.recipe is not None:
        before = gan_options(type(gan), gan.recipe)
        after = gan_options(type(gan), gan.recipe.override(**overrides))
        # `matching_aware` is no field of the schedule.
        of_schedule = {*overrides} - {"matching_aware"}
        if not any(name.startswith("matching_") for name in of_schedule):
            # Keep the schedule: it knows how far the training has come.
            after.pop("matching_schedule", None)
        options |= {
            name: value
            for name, value in after.items()
            if name in overrides or value != before.get(name)
        }
    changed = type(gan)(
        gan.generator,
        gan.discriminator,
        text_encoder or gan.text_encoder,
        **options,
    )
    changed.ema_generator.set_weights(gan.ema_generator.get_weights())
    changed.set_steps_trained(gan.steps_trained)
    return changed


def _recipe_of_config(config: dict[str, Any]) -> Recipe | None:
    """Returns the recipe in the config of a `TextToImageGAN`.

    Files from before there were recipes hold the name of a preset.
    """
    if config.get("recipe") is not None:
        known = set(Recipe.names())
        fields = dict(config["recipe"])
        if fields.get("decay_share") is not None:
            # Earlier code took both, and let the second have no effect.
            fields["epochs_per_halving"] = None
        return Recipe(**{name: fields[name] for name in known & set(fields)})
    if config.get("preset") is not None:
        return Recipe.from_preset(config["preset"])
    return None


def _check_overrides(overrides: dict[str, Any]) -> None:
    for name, instead in (
        ("precision", "`keras.mixed_precision.set_dtype_policy`"),
        ("strategy", "the scope of a `tf.distribute` strategy"),
    ):
        if name in overrides:
            raise ValueError(
                f"`{name}` is an option of `keras_t2i.train`. Received: "
                f"{overrides[name]!r}. Make the GAN under {instead}."
            )
