"""The GANs that come with the package."""

import functools

from keras_t2i import TextToImageGAN


@functools.cache
def pretrained_gan(name: str) -> TextToImageGAN:
    """One GAN for all tests of a process, which leave it as it is."""
    return TextToImageGAN.from_preset(name)
