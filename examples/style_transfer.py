"""Style transfer: the backgrounds and poses of images, with other captions.

    python examples/style_transfer.py --out style_transfer.png

trains a small GAN, and a style encoder that inverts it. With trained ones:

    python examples/style_transfer.py --model runs/gan/model.keras \\
        --style-encoder runs/style/model.keras
"""

import argparse

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import keras
import numpy as np
import small_models

NUM_STYLES = 5
NUM_CAPTIONS = 6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", metavar="FILE.keras")
    parser.add_argument("--style-encoder", metavar="FILE.keras")
    parser.add_argument("--out", default="style_transfer.png")
    small_models.add_options(parser)
    options = small_models.parsed(parser)
    if options.style_encoder and not options.model:
        parser.error("--style-encoder needs --model, the GAN it was trained on")
    if options.model:
        gan = keras.saving.load_model(options.model)
    else:
        gan = small_models.trained_gan(options)
    if options.style_encoder:
        style_encoder = small_models.loaded_style_encoder(options.style_encoder)
    else:
        style_encoder = small_models.trained_style_encoder(options, gan)
    unseen = small_models.unseen_blooms(
        NUM_STYLES + NUM_CAPTIONS, gan.image_size
    )
    styles = np.stack([bloom.image for bloom in unseen[:NUM_STYLES]])
    captions = [bloom.captions[0] for bloom in unseen[NUM_STYLES:]]
    images = gan.transfer_style(styles, captions, style_encoder)
    figure = keras_t2i.plots.transfer_grid(styles, images, captions)
    figure.savefig(options.out)
    print(f"figure: {options.out}")


if __name__ == "__main__":
    main()
