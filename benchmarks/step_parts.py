"""Where a train step's time goes: each of its parts, measured alone.

    python benchmarks/step_parts.py --precision mixed_bfloat16
    python benchmarks/step_parts.py --width 32 --batch-size 32 \
        --changes '{"image_size": 256, "falling_channels": true}'

The parts are those of `TextToImageGAN.train_step`, with the floating-point
operations counted that their convolutions and matrix products take, beside the
rate that the machine reaches in one large matrix product.
"""

import argparse
import json
import statistics
import time

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import keras
import numpy as np
import tensorflow as tf
from train_step import add_step_options
from train_step import macs
from train_step import matrix_product_rate
from train_step import num_generated
from train_step import operations_of
from train_step import parse_step_options

from keras_t2i.models.augmentation import ImageNoise
from keras_t2i.models.noise import StepNoise
from keras_t2i.models.noise import Stream

TEXT_DIM = 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_step_options(parser)
    parser.add_argument(
        "--changes",
        type=json.loads,
        default={},
        help="fields of the recipe as JSON, other than the preset's",
    )
    arguments = parse_step_options(parser)
    keras.mixed_precision.set_dtype_policy(arguments.precision)
    encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=TEXT_DIM)
    encoder.trainable = False
    gan = keras_t2i.TextToImageGAN.from_preset(
        arguments.preset,
        width=arguments.width,
        text_encoder=encoder,
        **arguments.changes,
    )
    gan.compile()
    rate = matrix_product_rate(arguments.precision)
    print(
        f"{arguments.preset}, width {arguments.width}, batch "
        f"{arguments.batch_size}, {arguments.precision}; matrix products run "
        f"at {rate / 1e9:.0f} GFLOP/s\n"
    )
    print("| part | ms | GFLOP | share of the rate |\n|---|---|---|---|")
    for name, run, operations in _parts(gan, arguments.batch_size):
        seconds = _median_seconds(run)
        work = ["", ""]
        if operations:
            share = operations / seconds / rate
            work = [f"{operations / 1e9:.0f}", f"{share:.0%}"]
        print(
            f"| {name} | {1000 * seconds:.1f} | {work[0]} | {work[1]} |",
            flush=True,
        )


def _parts(gan, batch_size):
    """Yields names, functions, and their operations, 0 where not counted."""
    rng = np.random.default_rng(0)
    num_images = num_generated(gan, batch_size)
    shape = (num_images, gan.image_size, gan.image_size, 3)
    images = tf.constant(rng.uniform(-1, 1, shape).astype("float32"))
    text = tf.constant(
        rng.normal(size=(num_images, TEXT_DIM)).astype("float32")
    )
    noise = tf.constant(rng.normal(size=(num_images, 100)).astype("float32"))
    generator, discriminator = gan.generator, gan.discriminator
    generating = 2 * num_images * macs(generator)
    judging = 2 * (macs(discriminator.trunk) + macs(discriminator.head))

    def generate():
        return generator(
            {"noise": noise, "text_embeddings": text}, training=True
        )

    def judge(rows):
        return discriminator(
            {"images": images[:rows], "text_embeddings": text[:rows]},
            training=True,
        )

    def update_generator():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(generate())
        return tape.gradient(loss, generator.trainable_variables)

    def update_discriminator():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(judge(batch_size))
        return tape.gradient(loss, discriminator.trainable_variables)

    def judge_images():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            loss = tf.reduce_mean(judge(num_images))
        return tape.gradient(loss, images)

    def adam(optimizer, network):
        variables = network.trainable_variables
        optimizer.apply([tf.zeros_like(v) for v in variables], variables)
        return optimizer.iterations

    def average():
        gan._moving_average.update(
            gan.ema_generator, generator, gan.generator_optimizer.iterations
        )
        return gan.generator_optimizer.iterations

    batch = {
        "images": images[:batch_size],
        "text_embeddings": text[:batch_size],
        "mismatched_text_embeddings": text[:batch_size],
    }
    yield f"generate {num_images} images", generate, generating
    yield "the same and its gradients", update_generator, 3 * generating
    yield (
        f"judge {batch_size} pairs, and the weights' gradients",
        update_discriminator,
        3 * batch_size * judging,
    )
    yield (
        f"judge {num_images} images, and their gradients",
        judge_images,
        2 * num_images * judging,
    )
    yield (
        "Adam, both networks",
        lambda: [
            adam(gan.generator_optimizer, generator),
            adam(gan.discriminator_optimizer, discriminator),
        ],
        0,
    )
    yield "exponential moving average", average, 0
    if gan.image_noise:
        yield (
            "noise on the images",
            lambda: [
                _noisy(gan, images[:batch_size], Stream.REAL_IMAGES),
                _noisy(gan, images, Stream.GENERATED_IMAGES),
            ],
            0,
        )
    yield (
        "whole step",
        lambda: gan.train_step(batch),
        operations_of(gan, batch_size),
    )


def _noisy(gan, images, stream):
    layer = ImageNoise(gan.image_noise, gan.image_noise_half_life)
    noise = StepNoise(gan.seed, gan.generator_optimizer.iterations)
    return layer(images, noise=noise, stream=stream, rows=len(images))


def _median_seconds(function, rounds=7):
    function = tf.function(function)
    times = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        # Not all of it: the copy would count.
        tf.reshape(tf.nest.flatten(function())[0], [-1])[0].numpy()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


if __name__ == "__main__":
    main()
