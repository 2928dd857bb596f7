"""How long the training steps of several settings of `sweep.py` take.

    python benchmarks/step_times.py --width 32
    python benchmarks/step_times.py plus plus_features_alone plus_labels

They take turns in one process, so that other work slows all of them alike. The
table has the median of all turns and how many times as fast as the first it is.
Steps with the gradient penalty, one of sixteen, are left out.
"""

import argparse
import statistics
import time

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import keras
import numpy as np
import tensorflow as tf
from sweep import SETTINGS

TEXT_DIM = 256
_DEFAULTS = ("plus", "plus_pixels_alone", "gan_int_cls")
_GANS = [
    name
    for name, recipe in SETTINGS.items()
    if isinstance(recipe, keras_t2i.Recipe)
]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=f"settings: {', '.join(_GANS)}",
    )
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--width", type=int, help="default: the setting's")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="of each turn")
    parser.add_argument("settings", nargs="*", metavar="SETTING")
    arguments = parser.parse_args()
    for name in arguments.settings:
        if name not in _GANS:
            parser.error(f"SETTING must be one of {', '.join(_GANS)}: {name}")
    keras.mixed_precision.set_dtype_policy(arguments.precision)
    steps = {
        name: _step(name, arguments) for name in arguments.settings or _DEFAULTS
    }
    for step in steps.values():
        step()
    seconds = {name: [] for name in steps}
    for _ in range(arguments.turns):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(arguments.steps):
                step()
            seconds[name].append(
                (time.perf_counter() - start) / arguments.steps
            )
    first = statistics.median(next(iter(seconds.values())))
    print("| setting | ms a step | speed |\n|---|---|---|")
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"| `{name}` | {1e3 * median:.0f} | {first / median:.2f} |")


def _step(name, arguments):
    encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=TEXT_DIM)
    encoder.trainable = False
    recipe = SETTINGS[name].override(image_size=arguments.image_size)
    if arguments.width is not None:
        recipe = recipe.override(width=arguments.width)
    gan = keras_t2i.TextToImageGAN.from_recipe(recipe, text_encoder=encoder)
    gan.compile()
    generator = np.random.default_rng(0)
    shape = (arguments.batch_size, arguments.image_size, arguments.image_size)
    images = generator.uniform(-1, 1, (*shape, 3)).astype("float32")
    texts = generator.normal(size=(2, arguments.batch_size, TEXT_DIM))
    batch = {
        "images": tf.constant(images),
        "text_embeddings": tf.constant(texts[0], "float32"),
        "mismatched_text_embeddings": tf.constant(texts[1], "float32"),
    }
    step = tf.function(gan.train_step)

    def run():
        # At a multiple of sixteen the step has the penalty.
        gan.set_steps_trained(1)
        # Reading a metric waits for the whole step.
        return step(batch)["generator_loss"].numpy()

    return run


if __name__ == "__main__":
    main()
