"""A GAN's networks, options and optimizers, as a recipe says."""

import inspect
from typing import Any

import keras

from keras_t2i.checks import check_text_encoder
from keras_t2i.linear_decay import LinearDecay
from keras_t2i.models.discriminator import Discriminator
from keras_t2i.models.discriminator_ensemble import DiscriminatorEnsemble
from keras_t2i.models.feature_discriminator import FeatureDiscriminator
from keras_t2i.models.generator import Generator
from keras_t2i.models.modulated_generator import ModulatedGenerator
from keras_t2i.models.pixel_discriminator import PixelDiscriminator
from keras_t2i.models.staged_matching import StagedMatching
from keras_t2i.recipes.recipe import Recipe
from keras_t2i.text.char_cnn_rnn import CharCNNRNN

_DEFAULT_IMAGE_SIZE = 64
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


def networks_of_recipe(
    recipe: Recipe, text_encoder: keras.Model | None
) -> tuple[keras.Model, keras.Model, keras.Model]:
    """Makes untrained networks.

    Args:
        recipe: `Recipe`.
        text_encoder: `keras.Model`, or `None` for a new `CharCNNRNN`.

    Returns:
        Generator, discriminator and text encoder.
    """
    text_encoder = CharCNNRNN() if text_encoder is None else text_encoder
    check_text_encoder(text_encoder)
    shared = {
        "image_size": recipe.image_size or _DEFAULT_IMAGE_SIZE,
        "text_embedding_dim": text_encoder.output_shape[-1],
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
    arguments = set(inspect.signature(gan_class.__init__).parameters)
    options = {
        name: getattr(recipe, name)
        for name in Recipe.names()
        if name in arguments and name not in OF_NETWORKS
    }
    start_step = recipe.matching_start_step
    accuracy_threshold = recipe.matching_accuracy_threshold
    if (start_step, accuracy_threshold) != (None, None):
        options["matching_schedule"] = StagedMatching(
            start_step=start_step,
            accuracy_threshold=accuracy_threshold,
            patience=recipe.matching_patience,
            rise_steps=recipe.matching_rise_steps,
        )
    return {
        **options,
        "interpolate": recipe.interpolate,
        "recipe": recipe,
    }


def gan_optimizer(
    recipe: Recipe | None, network: str, steps_per_epoch: int | None = None
) -> keras.optimizers.Optimizer:
    """Makes the optimizer of a network.

    Args:
        recipe: `Recipe`, or `None` for the optimizer of the paper.
        network: string. `"generator"` or `"discriminator"`.
        steps_per_epoch: int. Defaults to `None`: the learning rate is not
            halved after some epochs.

    Returns:
        `keras.optimizers.Adam`.
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
