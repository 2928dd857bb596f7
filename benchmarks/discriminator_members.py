"""What the feature discriminators cost: a step with them and one without.

    python benchmarks/discriminator_members.py

They take turns in one process, together with `gan_int_cls` at the same width.
The table has the medians of all turns and their ratio.
"""

import argparse
import statistics
import time

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import keras
import numpy as np
import tensorflow as tf

from keras_t2i.models.discriminator_ensemble import members_of
from keras_t2i.models.from_recipe import gan_options
from keras_t2i.models.from_recipe import networks_of_recipe

TEXT_DIM = 256


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="of each turn")
    arguments = parser.parse_args()
    keras.mixed_precision.set_dtype_policy(arguments.precision)
    steps = {
        "gan_int_cls_plus": _step("gan_int_cls_plus", arguments, None),
        "its pixel discriminator alone": _step(
            "gan_int_cls_plus", arguments, keras_t2i.PixelDiscriminator
        ),
        "gan_int_cls": _step("gan_int_cls", arguments, None),
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
    medians = {
        name: statistics.median(values) for name, values in seconds.items()
    }
    for name, median in medians.items():
        print(f"{name:30} {1e3 * median:6.0f} ms a step")
    whole, pixels, _ = medians.values()
    print(f"speed with the feature discriminators: {pixels / whole:.2f}")


def _step(name, arguments, member):
    encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=TEXT_DIM)
    encoder.trainable = False
    recipe = keras_t2i.Recipe.from_preset(name).override(
        image_size=arguments.image_size, width=arguments.width
    )
    generator, discriminator, encoder = networks_of_recipe(recipe, encoder)
    options = gan_options(keras_t2i.TextToImageGAN, recipe)
    if member is not None:
        (discriminator,) = (
            one for one in members_of(discriminator) if isinstance(one, member)
        )
    gan = keras_t2i.TextToImageGAN(generator, discriminator, encoder, **options)
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
    # Reading a metric waits for the whole step.
    return lambda: step(batch)["generator_loss"].numpy()


if __name__ == "__main__":
    main()
