"""Images per second of a SavedModel, and of the same model called from Python.

    python benchmarks/serving.py --model runs/gan
    python benchmarks/serving.py --width 64

Both take the same texts and seeds, in turn, in one process: `gan.generate`, and
a session over the exported SavedModel, as in TensorFlow Serving. Text encoder
and generator are also measured alone. Without --model, an untrained GAN of the
preset's size is measured, which takes the same time.
"""

import argparse
import tempfile
import time

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import numpy as np
import tensorflow as tf

from keras_t2i.training.model_files import load_gan

_BATCH_SIZES = (1, 8, 64)
# A p99 of a few calls is chance; the table says of how many each is.
_MIN_ROUNDS = 30
_TEXT = "a flower with five rounded red petals and a yellow center, number {}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="run folder or .keras file")
    parser.add_argument("--preset", default="gan_int_cls")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    if arguments.model:
        gan = load_gan(arguments.model)
    else:
        gan = keras_t2i.TextToImageGAN.from_preset(
            arguments.preset, width=arguments.width
        )
    with tempfile.TemporaryDirectory() as folder:
        path = keras_t2i.export.export_saved_model(gan, folder + "/served")
        _measure(gan, _loaded(path), arguments.seconds)


def _loaded(path):
    """Loads a SavedModel; returns a function of a signature and inputs."""
    tf.get_logger().setLevel("ERROR")  # This way of loading is deprecated.
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        meta_graph = tf.compat.v1.saved_model.load(
            session, ["serve"], str(path)
        )
    # Prepared once, as a server does.
    callables = {}
    for name, signature in meta_graph.signature_def.items():
        if name.startswith("__"):
            continue
        inputs = sorted(signature.inputs)
        (output,) = signature.outputs.values()
        feeds = [signature.inputs[key].name for key in inputs]
        callables[name] = (
            inputs,
            session.make_callable(output.name, feed_list=feeds),
        )

    def ask(signature, **rows):
        inputs, function = callables[signature]
        return function(*(rows[name] for name in inputs))

    return ask


def _measure(gan, ask, seconds):
    print(
        f"image size {gan.image_size}, generator "
        f"{gan.generator.count_params():,} and text encoder "
        f"{gan.text_encoder.count_params():,} parameters\n"
    )
    print(
        "| what | batch | calls | rows/s | p50, ms | p99, ms | beside Python |"
    )
    print("|---|---|---|---|---|---|---|")
    for batch_size in _BATCH_SIZES:
        ways = _ways(gan, ask, batch_size)
        times = _times(ways, seconds)
        medians = {name: np.median(values) for name, values in times.items()}
        for name, values in times.items():
            beside = ""
            if name.endswith(", session"):
                python = medians[name.replace(", session", ", Python")]
                beside = f"{python / medians[name]:.2f}"
            p50, p99 = 1000 * np.percentile(values, (50, 99))
            rate = batch_size * len(values) / sum(values)
            print(
                f"| {name} | {batch_size} | {len(values)} | {rate:,.1f} | "
                f"{p50:.1f} | {p99:.1f} | {beside} |",
                flush=True,
            )


def _ways(gan, ask, batch_size):
    texts = [_TEXT.format(row) for row in range(batch_size)]
    encoded = np.array([text.encode() for text in texts], object)
    seeds = np.arange(batch_size)
    tensors = tf.constant(encoded), tf.constant(seeds)
    embeddings = ask("embed_text", text=encoded)
    # The functions that `generate` and the SavedModel are made of.
    signatures = keras_t2i.export.signatures.make_signatures(gan)
    embed, generate = signatures["embed_text"], signatures["from_embedding"]
    png = signatures["serving_default"]
    constant = tf.constant(embeddings)

    def python(function, *rows):
        (output,) = function(*rows).values()
        return output.numpy()

    np.testing.assert_array_equal(
        ask("pixels", text=encoded, seed=seeds), gan.generate(texts)
    )
    return {
        "images, Python": lambda: gan.generate(texts, batch_size=batch_size),
        "images, session": lambda: ask("pixels", text=encoded, seed=seeds),
        "PNG files, Python": lambda: python(png, *tensors),
        "PNG files, session": lambda: ask(
            "serving_default", text=encoded, seed=seeds
        ),
        "text encoder, Python": lambda: python(embed, tensors[0]),
        "text encoder, session": lambda: ask("embed_text", text=encoded),
        "generator and PNG, Python": lambda: python(
            generate, constant, tensors[1]
        ),
        "generator and PNG, session": lambda: ask(
            "from_embedding", embedding=embeddings, seed=seeds
        ),
    }


def _times(ways, seconds):
    """Seconds of each call; the ways take turns, for so long or longer."""
    times = {name: [] for name in ways}
    for function in ways.values():
        for _ in range(3):
            function()
    end = time.monotonic() + seconds
    rounds = 0
    while rounds < _MIN_ROUNDS or time.monotonic() < end:
        for name, function in ways.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
        rounds += 1
    return times


if __name__ == "__main__":
    main()
