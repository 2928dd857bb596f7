"""What a train step costs at 128 and 256 pixels, beside 64.

    python benchmarks/image_sizes.py --preset gan_int_cls_plus

Each size has a process of its own, which take turns. A step is the mean of
those with and without the gradient penalty, as often as each of them comes.
Processor time is the better measure on a machine that does other work too.
Memory is the peak of the process.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import time

TEXT_DIM = 256


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="gan_int_cls_plus")
    parser.add_argument("--sizes", type=int, nargs="+", default=(64, 128, 256))
    parser.add_argument("--width", type=int, help="default: the preset's")
    parser.add_argument("--batch-size", type=int, help="default: the preset's")
    parser.add_argument("--precision", default="float32")
    parser.add_argument(
        "--changes",
        type=json.loads,
        action="append",
        default=[],
        help="fields of the recipe, as JSON. The sizes above the first one are "
        "also measured with them",
    )
    parser.add_argument("--turns", type=int, default=9)
    arguments = parser.parse_args()
    first, *others = arguments.sizes
    rows = [(first, {})]
    for size in others:
        rows += [(size, changes) for changes in ({}, *arguments.changes)]
    connections, intervals = zip(*(_started(arguments, *row) for row in rows))
    seconds = _alternating(connections, arguments.turns)
    costs = [
        [((interval - 1) * a + b) / interval for a, b in zip(*both)]
        for interval, *both in zip(intervals, *seconds)
    ]
    print(
        f"{arguments.preset}, {arguments.precision}\n\n"
        "| pixels | changes | ms a step | ratio | processor time, ms | ratio "
        "| peak memory, GiB |\n|---|---|---|---|---|---|---|"
    )
    for (size, changes), (wall, cpu), connection in zip(
        rows, costs, connections
    ):
        connection.send(None)
        print(
            f"| {size} | {json.dumps(changes) if changes else ''} "
            f"| {1e3 * wall:.0f} | {wall / costs[0][0]:.2f} "
            f"| {1e3 * cpu:.0f} | {cpu / costs[0][1]:.2f} "
            f"| {connection.recv() / 2**30:.2f} |"
        )


def _started(arguments, size, changes):
    """Returns a process that takes steps, and the penalty's interval."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(
        target=_serve, args=(there, arguments, size, changes), daemon=True
    ).start()
    return here, here.recv()


def _alternating(connections, turns):
    """Returns the median seconds of both kinds of steps, of all processes.

    Each is a list for each process, of seconds and processor seconds.
    """
    medians = []
    for penalty in (False, True):
        taken = [[] for _ in connections]
        for _ in range(turns):
            for connection, values in zip(connections, taken):
                connection.send(penalty)
                values.append(connection.recv())
        medians.append(
            [[statistics.median(one) for one in zip(*rows)] for rows in taken]
        )
    return medians


def _serve(connection, arguments, size, changes):
    run, interval = _step(arguments, size, changes)
    for penalty in (True, False):
        run(penalty)
    connection.send(interval)
    while (penalty := connection.recv()) is not None:
        wall, cpu = time.perf_counter(), time.process_time()
        run(penalty)
        connection.send((time.perf_counter() - wall, time.process_time() - cpu))
    # Kilobytes, on Linux.
    connection.send(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _step(arguments, size, changes):
    import keras_t2i  # noqa: I001  First: it sets TensorFlow up.
    import keras
    import numpy as np
    import tensorflow as tf

    keras.mixed_precision.set_dtype_policy(arguments.precision)
    encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=TEXT_DIM)
    encoder.trainable = False
    options = {"width": arguments.width, "batch_size": arguments.batch_size}
    options = {name: value for name, value in options.items() if value}
    gan = keras_t2i.TextToImageGAN.from_preset(
        arguments.preset,
        text_encoder=encoder,
        **{**options, "image_size": size, **changes},
    )
    gan.compile()
    generator = np.random.default_rng(0)
    batch_size = gan.recipe.batch_size
    images = generator.uniform(-1, 1, (batch_size, size, size, 3))
    texts = generator.normal(size=(2, batch_size, TEXT_DIM))
    batch = {
        "images": tf.constant(images, "float32"),
        "text_embeddings": tf.constant(texts[0], "float32"),
        "mismatched_text_embeddings": tf.constant(texts[1], "float32"),
    }
    step = tf.function(gan.train_step)
    interval = gan.recipe.penalty_interval

    def run(penalty):
        # More than any optimizer has counted, or its count holds.
        gan.set_steps_trained(1000 * interval + int(not penalty))
        # Reading a metric waits for the whole step.
        step(batch)["generator_loss"].numpy()

    return run, interval


if __name__ == "__main__":
    main()
