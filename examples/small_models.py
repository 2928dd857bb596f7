"""Small models of rendered flowers, which the examples train by default.

This takes minutes on two cores, and downloads nothing. After so short a
training, the images are blurred: colors follow the captions, and the noise
changes little. Models that were trained for an hour show more; each example has
options for them.
"""

import os
import pathlib

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import keras
import numpy as np

from keras_t2i import blooms


def add_options(parser):
    """Adds the sizes of models and training to an example's options."""
    parser.add_argument("--num-images", type=int, default=1000)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=40)


def parsed(parser):
    """Parses an example's options, and makes the folder of its figure.

    An error here must not come after minutes of training.
    """
    options = parser.parse_args()
    folder = pathlib.Path(options.out).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out must be in a folder that can be made: {error}")
    if not os.access(folder, os.W_OK):
        parser.error(f"--out must be in a folder to write in: {folder}")
    return options


def trained_gan(options, preset="gan_int_cls"):
    """Trains a text encoder, and with it a GAN of a preset."""
    print(f"Training {preset} for {options.epochs} epochs", flush=True)
    keras.utils.set_random_seed(0)
    joint_embedding = keras_t2i.JointEmbedding(
        keras_t2i.CharCNNRNN((96, 128, 128), embedding_dim=256),
        keras_t2i.text.image_encoder(options.image_size, embedding_dim=256),
    )
    joint_embedding.compile(keras.optimizers.Adam(1e-3))
    batches = training_batches(options, options.image_size)
    joint_embedding.fit(batches, epochs=options.epochs, verbose=0)
    joint_embedding.standardize(next(iter(batches))["token_ids"])
    text_encoder = joint_embedding.text_encoder
    text_encoder.trainable = False
    gan = keras_t2i.TextToImageGAN.from_preset(
        preset,
        image_size=options.image_size,
        width=options.width,
        text_encoder=text_encoder,
    )
    # As `keras-t2i train` does.
    gan.compile(
        keras.optimizers.Adam(4e-4, beta_1=0.5),
        keras.optimizers.Adam(1e-4, beta_1=0.5),
    )
    gan.fit(batches, epochs=options.epochs, verbose=0)
    return gan


def trained_style_encoder(options, gan):
    """Trains a style encoder that inverts a GAN."""
    print(f"Training a style encoder for {options.epochs} epochs", flush=True)
    keras.utils.set_random_seed(0)
    style_encoder = keras_t2i.StyleEncoder(
        gan.image_size, options.width, gan.noise_dim
    )
    inversion = keras_t2i.StyleInversion(
        gan.ema_generator,
        gan.text_encoder,
        style_encoder,
        # As `keras-t2i train-style` does: it will see real images.
        reconstruction_weight=5.0,
    )
    inversion.compile()
    batches = training_batches(options, gan.image_size)
    inversion.fit(batches, epochs=options.epochs, verbose=0)
    return style_encoder


def loaded_style_encoder(path):
    """Loads the style encoder that `keras-t2i train-style` has saved."""
    return keras.saving.load_model(path).style_encoder


def training_batches(options, image_size):
    """Batches of rendered flowers with their captions."""
    rendered = [
        blooms.bloom_at("train", index, image_size=image_size)
        for index in range(options.num_images)
    ]
    return keras_t2i.datasets.from_arrays(
        np.stack([bloom.image for bloom in rendered]),
        [bloom.captions for bloom in rendered],
        [bloom.class_id for bloom in rendered],
    )


def unseen_blooms(count, image_size):
    """Flowers of unseen kinds."""
    return [
        blooms.bloom_at("test", index, image_size=image_size)
        for index in range(count)
    ]
