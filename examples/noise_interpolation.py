"""From one noise to another with the same caption: only the style changes.

    python examples/noise_interpolation.py --out noise_interpolation.png

trains a small GAN. With a trained one:

    python examples/noise_interpolation.py --model runs/gan/model.keras
"""

import argparse

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import keras
import small_models

CAPTIONS = [
    "a red flower with a yellow center",
    "a blue flower with round petals",
    "a white flower with a black center",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", metavar="FILE.keras")
    parser.add_argument("--out", default="noise_interpolation.png")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seed-to", type=int, default=100)
    small_models.add_options(parser)
    options = small_models.parsed(parser)
    if options.model:
        gan = keras.saving.load_model(options.model)
    else:
        gan = small_models.trained_gan(options)
    images = gan.interpolate_noise(
        CAPTIONS, options.seed, options.seed_to, steps=options.steps
    )
    seeds = range(len(CAPTIONS))
    figure = keras_t2i.plots.interpolation_strips(
        images,
        [
            f"seed {options.seed + row}: {caption}"
            for row, caption in zip(seeds, CAPTIONS)
        ],
        [f"seed {options.seed_to + row}" for row in seeds],
    )
    figure.savefig(options.out)
    print(f"figure: {options.out}")


if __name__ == "__main__":
    main()
