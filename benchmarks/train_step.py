"""Images per second in training: this library beside a rival.

    pip install -e ".[benchmark]"
    python benchmarks/train_step.py --preset gan_int_cls
    git worktree add older 184b370
    python benchmarks/train_step.py --preset gan_int_cls --against older

The rival is plain PyTorch, or another version of this library, which must have
`TextToImageGAN.from_preset`. Both versions use oneDNN, unless
`TF_ENABLE_ONEDNN_OPTS=0` is set.

The two take turns, each in its own process. The table has the medians of all
turns and their ratio. In `gan_int_cls_plus` a step is the mean of those with
and without the gradient penalty, as often as each of them comes.

PyTorch's side is plain: each update generates its own images, and each kind of
pair passes the discriminators on its own. With `--shares-passes` the PyTorch
side of `gan_int_cls_plus` saves the passes that this library saves.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time

TEXT_DIM = 1024


def _arrays(batch_size):
    import numpy as np

    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (batch_size, 64, 64, 3))
    texts = generator.normal(size=(2, batch_size, TEXT_DIM))
    return images.astype("float32"), *texts.astype("float32")


def _library(connection, preset, width, batch_size, precision, folder=None):
    # Older versions leave it to TensorFlow.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if folder:
        sys.path.insert(0, folder)
    import keras_t2i  # noqa: I001  First: it sets TensorFlow up.
    import keras
    import tensorflow as tf

    keras.mixed_precision.set_dtype_policy(precision)
    encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=TEXT_DIM)
    encoder.trainable = False
    gan = keras_t2i.TextToImageGAN.from_preset(
        preset, width=width, text_encoder=encoder
    )
    gan.compile()
    images, text, mismatched_text = map(tf.constant, _arrays(batch_size))
    batch = {
        "images": images,
        "text_embeddings": text,
        "mismatched_text_embeddings": mismatched_text,
    }
    step = tf.function(gan.train_step)
    interval = _penalty_interval(gan.recipe)

    def run(penalty=False):
        if interval:
            gan.set_steps_trained(1000 * interval + int(not penalty))
        return step(batch)["generator_loss"].numpy()

    facts = None
    if not folder and isinstance(gan.discriminator, keras_t2i.Discriminator):
        facts = operations_of(gan, batch_size), matrix_product_rate(precision)
    _serve(connection, run, interval, facts)


def _torch(connection, preset, width, batch_size, precision, shares_passes):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from keras_t2i.recipes.recipe import Recipe

    recipe = Recipe.from_preset(preset).override(
        width=width, precision=precision
    )
    if recipe.feature_network:
        import torch_gan_plus

        trainer = torch_gan_plus.trainer_of(
            recipe, TEXT_DIM, shares_passes=shares_passes
        )
    else:
        import torch_gan

        trainer = torch_gan.trainer_of(recipe, TEXT_DIM)
    images, text, mismatched_text = map(torch.from_numpy, _arrays(batch_size))
    # Torch's convolutions are fastest here with channels last, as Keras'.
    images = images.permute(0, 3, 1, 2)
    for network in (trainer.generator, trainer.discriminator):
        network.to(memory_format=torch.channels_last)

    def run(**options):
        return trainer.step(images, text, mismatched_text, **options)

    with FlopCounterMode(display=False) as counter:
        run()
    operations = counter.get_total_flops()
    _serve(connection, run, _penalty_interval(recipe), operations)


def _penalty_interval(recipe):
    """Steps from one gradient penalty to the next, 0 if there is none."""
    has_penalty = recipe.discriminator == "PixelDiscriminator"
    return recipe.penalty_interval if has_penalty else 0


def _serve(connection, run, interval, facts):
    for _ in range(3):
        run()
    if interval:
        run(penalty=True)
    connection.send(facts)
    while (steps := connection.recv()) is not None:
        seconds = _seconds(run, steps)
        if interval:
            penalized = _seconds(lambda: run(penalty=True), 1)
            seconds += (penalized - seconds) / interval
        connection.send(seconds)


def _seconds(run, steps):
    start = time.perf_counter()
    for _ in range(steps):
        run()
    return (time.perf_counter() - start) / steps


def add_step_options(parser):
    """Adds the options that say which step is measured."""
    parser.add_argument("--preset", default="gan_int_cls")
    parser.add_argument("--width", type=int, help="default: the preset's")
    parser.add_argument(
        "--batch-size",
        type=int,
        help="default: 64; the preset's, if it has a feature network",
    )
    parser.add_argument("--precision", default="float32")


def parse_step_options(parser):
    """Parses the arguments, and fills in width and batch size."""
    from keras_t2i.recipes.recipe import Recipe

    arguments = parser.parse_args()
    recipe = Recipe.from_preset(arguments.preset)
    if arguments.width is None:
        arguments.width = recipe.discriminator_width
    if arguments.batch_size is None:
        arguments.batch_size = (
            recipe.batch_size if recipe.feature_network else 64
        )
    return arguments


def macs(network):
    """Multiplications and additions of one image, through all layers."""
    import keras

    total = 0
    for layer in network._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Conv2DTranspose):
            size = layer.input.shape[1] * layer.input.shape[2]
        elif isinstance(layer, keras.layers.Conv2D):
            size = layer.output.shape[1] * layer.output.shape[2]
        elif isinstance(layer, keras.layers.Dense):
            size = 1
        else:
            continue
        kernel = 1
        for length in layer.kernel.shape:
            kernel *= length
        total += size * kernel
    return total


def num_generated(gan, batch_size):
    """Images of a step: from its texts, from repeated and interpolated ones."""
    again = (batch_size + 3) // 4 if gan.mode_seeking_weight else 0
    adds_texts = gan.interpolate_texts and not gan.interpolate_in_place
    between = batch_size // 2 if adds_texts else 0
    return batch_size + again + between


def operations_of(gan, batch_size):
    """Floating-point operations of one step, as this library takes it."""
    generator = macs(gan.generator)
    trunk = macs(gan.discriminator.trunk)
    head = macs(gan.discriminator.head)
    num_images = num_generated(gan, batch_size)
    # A gradient costs one forward pass for the weights, one for the inputs.
    total = 3 * generator * num_images
    total += 3 * (2 * trunk + 3 * head) * batch_size
    total += 2 * (trunk + head) * num_images
    return 2 * total


def matrix_product_rate(precision):
    import tensorflow as tf

    dtype = tf.bfloat16 if precision == "mixed_bfloat16" else tf.float32
    matrix = tf.cast(tf.random.normal((2048, 2048)), dtype)
    product = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    product()
    times = []
    for _ in range(10):
        start = time.perf_counter()
        product().numpy()
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_step_options(parser)
    parser.add_argument(
        "--against",
        metavar="DIR",
        help="a folder with another version of this library; default: PyTorch",
    )
    parser.add_argument(
        "--shares-passes",
        action="store_true",
        help="PyTorch's side of gan_int_cls_plus saves what this library saves",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    arguments = parse_step_options(parser)
    options = (
        arguments.preset,
        arguments.width,
        arguments.batch_size,
        arguments.precision,
    )
    context = multiprocessing.get_context("spawn")
    connections, facts = [], []
    rival = "the other" if arguments.against else "PyTorch"
    for target, more in (
        (_library, ()),
        (_library, (arguments.against,))
        if arguments.against
        else (_torch, (arguments.shares_passes,)),
    ):
        here, there = context.Pipe()
        context.Process(
            target=target, args=(there, *options, *more), daemon=True
        ).start()
        # A process that fails is the end of this one, too.
        there.close()
        connections.append(here)
        facts.append(here.recv())
    seconds = [[], []]
    for _ in range(arguments.rounds):
        for connection, times in zip(connections, seconds):
            connection.send(arguments.steps)
            times.append(connection.recv())
    for connection in connections:
        connection.send(None)

    print(
        f"{arguments.preset}, width {arguments.width}, batch "
        f"{arguments.batch_size}, {arguments.precision}"
    )
    print(
        f"{'':12} {'images/s':>9} {'s a step':>9} {'fastest':>9} {'slowest':>9}"
    )
    medians = []
    for name, times in zip(("keras_t2i", rival), seconds):
        median = statistics.median(times)
        medians.append(median)
        print(
            f"{name:12} {arguments.batch_size / median:9.1f} {median:9.3f} "
            f"{min(times):9.3f} {max(times):9.3f}"
        )
    print(f"ratio: {medians[1] / medians[0]:.2f}")
    if not arguments.against:
        print(f"a step of PyTorch without penalty: {facts[1] / 1e9:.0f} GFLOP")
    if facts[0] is None:
        return
    operations, rate = facts[0]
    print(
        f"a step is {operations / 1e9:.0f} GFLOP; matrix products run at "
        f"{rate / 1e9:.0f} GFLOP/s; share of that rate reached: "
        f"{operations / medians[0] / rate:.0%}"
    )


if __name__ == "__main__":
    main()
