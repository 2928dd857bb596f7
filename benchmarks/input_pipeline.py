"""Images per second of `make_dataset` alone, and what a train step consumes.

    python benchmarks/input_pipeline.py --data data/blooms \\
        --text-embeddings runs/text/embeddings-0123456789ab

Both are measured in one run, one after the other. The train step is that of
--preset with --width, on a batch in memory.
"""

import argparse
import statistics
import time

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
import tensorflow as tf

from keras_t2i.datasets.batches import make_dataset


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--text-embeddings", required=True)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--preset", default="gan_int_cls")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    streams = {
        "embeddings": {"text_embeddings": arguments.text_embeddings},
        "embeddings, mean of 4 captions": {
            "text_embeddings": arguments.text_embeddings,
            "captions_per_image": 4,
        },
        # What `train` reads with a `gan*` preset.
        "embeddings, mean of 4 captions, the nearest of 8 mismatches": {
            "text_embeddings": arguments.text_embeddings,
            "captions_per_image": 4,
            "mismatch_candidates": 8,
        },
        "token ids": {},
    }
    batches = {
        name: iter(
            make_dataset(
                arguments.data,
                batch_size=arguments.batch_size,
                start_step=0,
                **options,
            )
        )
        for name, options in streams.items()
    }
    step = _train_step(arguments, next(batches["embeddings"]))
    ways = {
        **{
            name: (lambda stream=stream: next(stream), 100)
            for name, stream in batches.items()
        },
        "train step": (step, 5),
    }
    rates = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, (run, times) in ways.items():
            run()
            start = time.perf_counter()
            for _ in range(times):
                run()
            seconds = time.perf_counter() - start
            rates[name].append(times * arguments.batch_size / seconds)
    rates = {name: statistics.median(values) for name, values in rates.items()}
    print("| what | images/s | times the train step |\n|---|---|---|")
    for name, rate in rates.items():
        ratio = rate / rates["train step"]
        print(f"| {name} | {rate:,.0f} | {ratio:.1f} |")


def _train_step(arguments, batch):
    dim = batch["text_embeddings"].shape[-1]
    encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=dim)
    encoder.trainable = False
    gan = keras_t2i.TextToImageGAN.from_preset(
        arguments.preset,
        image_size=batch["images"].shape[1],
        width=arguments.width,
        text_encoder=encoder,
    )
    gan.compile()
    step = tf.function(gan.train_step)
    return lambda: step(batch)["generator_loss"].numpy()


if __name__ == "__main__":
    main()
