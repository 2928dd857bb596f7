"""Generator, discriminator and the GAN made of them."""

from keras_t2i.models.discriminator import Discriminator
from keras_t2i.models.generator import Generator
from keras_t2i.models.staged_matching import StagedMatching
from keras_t2i.models.text_to_image_gan import TextToImageGAN

__all__ = ["Discriminator", "Generator", "StagedMatching", "TextToImageGAN"]
