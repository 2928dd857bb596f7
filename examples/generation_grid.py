"""The four variants side by side: the same captions, the same noise.

    python examples/generation_grid.py --out variants.png

trains four small GANs. With four trained ones:

    python examples/generation_grid.py --models runs/gan/model.keras \\
        runs/gan_cls/model.keras runs/gan_int/model.keras \\
        runs/gan_int_cls/model.keras
"""

import argparse

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import keras
import numpy as np
import small_models

VARIANTS = {
    "GAN": "gan",
    "GAN-CLS": "gan_cls",
    "GAN-INT": "gan_int",
    "GAN-INT-CLS": "gan_int_cls",
}
NUM_CAPTIONS = 6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models",
        nargs=len(VARIANTS),
        metavar="FILE.keras",
        help=f"trained models of {', '.join(VARIANTS)}, in this order",
    )
    parser.add_argument("--out", default="generation_grid.png")
    small_models.add_options(parser)
    options = small_models.parsed(parser)
    captions = [
        bloom.captions[0]
        for bloom in small_models.unseen_blooms(NUM_CAPTIONS, 32)
    ]
    rows = []
    for place, preset in enumerate(VARIANTS.values()):
        if options.models:
            gan = keras.saving.load_model(options.models[place])
        else:
            gan = small_models.trained_gan(options, preset)
        rows.append(gan.generate(captions, seed=0))
    figure = keras_t2i.plots.variant_comparison(
        np.stack(rows), captions, list(VARIANTS)
    )
    figure.savefig(options.out)
    print(f"figure: {options.out}")


if __name__ == "__main__":
    main()
