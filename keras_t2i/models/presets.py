"""Untrained networks from presets."""

import numbers

import keras

from keras_t2i.linear_decay import LinearDecay
from keras_t2i.models.discriminator import Discriminator
from keras_t2i.models.discriminator_ensemble import DiscriminatorEnsemble
from keras_t2i.models.feature_discriminator import FeatureDiscriminator
from keras_t2i.models.generator import Generator
from keras_t2i.models.modulated_generator import ModulatedGenerator
from keras_t2i.models.pixel_discriminator import PixelDiscriminator
from keras_t2i.models.staged_matching import StagedMatching
from keras_t2i.presets import presets
from keras_t2i.text.char_cnn_rnn import CharCNNRNN

PRESETS = presets("gan")
# By the `class_name` in a preset, the first one where there is none.
_GENERATORS = {
    "Generator": Generator,
    "ModulatedGenerator": ModulatedGenerator,
}
_DISCRIMINATORS = {
    "Discriminator": Discriminator,
    "PixelDiscriminator": PixelDiscriminator,
    "FeatureDiscriminator": FeatureDiscriminator,
}
# The width of its heads has nothing to do with that of the GAN.
_KEEPS_WIDTH = {"FeatureDiscriminator"}


def networks_of_preset(model, image_size, width, text_encoder):
    """Makes the networks of a preset, and the options of the GAN.

    Args:
        model: dict. The `model` of a preset.
        image_size: int, or `None` for that of the preset.
        width: int, or `None` for that of the preset. Width of the
            discriminator; the generator keeps its ratio to it.
        text_encoder: `keras.Model`, or `None` for a new `CharCNNRNN`.

    Returns:
        Generator, discriminator and text encoder, and a dict of arguments of
        `TextToImageGAN`.
    """
    image_size = model["image_size"] if image_size is None else image_size
    text_encoder = CharCNNRNN() if text_encoder is None else text_encoder
    shared = {
        "image_size": image_size,
        "text_embedding_dim": text_encoder.output_shape[-1],
    }
    discriminators = model["discriminator"]
    if isinstance(discriminators, dict):
        discriminators = [discriminators]
    scale = _width_scale(discriminators, width)

    def make(network, classes):
        arguments = dict(network)
        name = arguments.pop("class_name", next(iter(classes)))
        if name not in _KEEPS_WIDTH:
            arguments["width"] = scale(arguments["width"])
        return classes[name](**arguments, **shared)

    generator = make(model["generator"], _GENERATORS)
    members = [make(member, _DISCRIMINATORS) for member in discriminators]
    discriminator = (
        members[0] if len(members) == 1 else DiscriminatorEnsemble(members)
    )
    networks = generator, discriminator
    options = dict(model["gan"])
    if "matching_schedule" in options:
        options["matching_schedule"] = StagedMatching(
            **options["matching_schedule"]
        )
    return (*networks, text_encoder), options


def _width_scale(discriminators, width):
    """Returns a function of a preset's widths to those asked for."""
    if width is None:
        return lambda of_preset: of_preset
    whole = isinstance(width, numbers.Integral)
    if not whole or isinstance(width, bool) or width < 1:
        raise ValueError(
            f"`width` must be a whole number of at least 1. Received: {width!r}"
        )
    # The generator keeps its ratio to the discriminator.
    of_discriminator = next(
        member["width"]
        for member in discriminators
        if member.get("class_name") not in _KEEPS_WIDTH
    )
    return lambda of_preset: of_preset // of_discriminator * width


def gan_optimizer(training, network, steps_per_epoch=None):
    """Makes the optimizer of a network.

    Args:
        training: dict. The `training` of a preset.
        network: string. `"generator"` or `"discriminator"`.
        steps_per_epoch: int. Defaults to `None`: the learning rate is not
            halved after some epochs.

    Returns:
        `keras.optimizers.Adam`.
    """
    learning_rate = training[f"{network}_learning_rate"]
    epochs_per_halving = training["epochs_per_halving"]
    if None not in (epochs_per_halving, steps_per_epoch):
        learning_rate = keras.optimizers.schedules.ExponentialDecay(
            learning_rate,
            epochs_per_halving * steps_per_epoch,
            decay_rate=0.5,
            staircase=True,
        )
    if training.get("decay_share") is not None:
        learning_rate = LinearDecay(learning_rate)
    return keras.optimizers.Adam(
        learning_rate,
        beta_1=training.get("beta_1", 0.5),
        beta_2=training.get("beta_2", 0.999),
    )
