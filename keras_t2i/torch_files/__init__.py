"""Reading the files that Torch wrote, and the published networks in them."""

from keras_t2i.formats.t7 import read_t7
from keras_t2i.torch_files.networks import load_reed_discriminator
from keras_t2i.torch_files.networks import load_reed_generator
from keras_t2i.torch_files.networks import load_reed_text_encoder

__all__ = [
    "load_reed_discriminator",
    "load_reed_generator",
    "load_reed_text_encoder",
    "read_t7",
]
