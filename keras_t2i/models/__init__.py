"""Generator, discriminator, the GAN made of them, and its inversion."""

from keras_t2i.models.discriminator import Discriminator
from keras_t2i.models.discriminator import DiscriminatorEnsemble
from keras_t2i.models.feature_discriminator import FeatureDiscriminator
from keras_t2i.models.generator import Generator
from keras_t2i.models.generator import ModulatedGenerator
from keras_t2i.models.pixel_discriminator import PixelDiscriminator
from keras_t2i.models.staged_matching import StagedMatching
from keras_t2i.models.style_encoder import NoiseRecovery
from keras_t2i.models.style_encoder import StyleEncoder
from keras_t2i.models.style_inversion import StyleInversion
from keras_t2i.models.text_to_image_gan import TextToImageGAN

__all__ = [
    "Discriminator",
    "DiscriminatorEnsemble",
    "FeatureDiscriminator",
    "Generator",
    "ModulatedGenerator",
    "NoiseRecovery",
    "PixelDiscriminator",
    "StagedMatching",
    "StyleEncoder",
    "StyleInversion",
    "TextToImageGAN",
]
