"""From one caption to another with the same noise: only the content changes.

    python examples/text_interpolation.py --out text_interpolation.png

trains a small GAN. With a trained one:

    python examples/text_interpolation.py --model runs/gan/model.keras
"""

import argparse

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import keras
import small_models

CAPTIONS = [
    ("a red flower with a yellow center", "a blue flower with a white center"),
    ("a yellow flower with round petals", "a pink flower with narrow petals"),
    ("a white flower with a black center", "an orange flower"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", metavar="FILE.keras")
    parser.add_argument("--out", default="text_interpolation.png")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    small_models.add_options(parser)
    options = small_models.parsed(parser)
    if options.model:
        gan = keras.saving.load_model(options.model)
    else:
        gan = small_models.trained_gan(options)
    captions_from, captions_to = map(list, zip(*CAPTIONS))
    images = gan.interpolate(
        captions_from, captions_to, steps=options.steps, seed=options.seed
    )
    figure = keras_t2i.plots.interpolation_strips(
        images, captions_from, captions_to
    )
    figure.savefig(options.out)
    print(f"figure: {options.out}")


if __name__ == "__main__":
    main()
