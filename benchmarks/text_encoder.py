"""Captions per second that text encoders embed, from strings to vectors.

    python benchmarks/text_encoder.py

Reduced and full size, on different captions of blooms; medians of several
rounds, in which the encoders alternate.
"""

import argparse
import statistics
import time

import keras_t2i  # First: it sets TensorFlow up.

# isort: split
from keras_t2i import blooms

PRESETS = (
    "char_cnn_rnn_small",
    "word_cnn_rnn_small",
    "char_cnn_rnn_cvpr",
    "char_cnn_rnn_flowers",
    "char_cnn_rnn_birds",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--presets", nargs="+", choices=PRESETS, default=PRESETS
    )
    parser.add_argument("--captions", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    captions = _captions(arguments.captions)
    encoders = {name: _encoder(name, captions) for name in arguments.presets}
    for encoder in encoders.values():
        keras_t2i.text.embed_texts(encoder, captions[:512])
    rates = {name: [] for name in encoders}
    for _ in range(arguments.rounds):
        for name, encoder in encoders.items():
            start = time.perf_counter()
            keras_t2i.text.embed_texts(encoder, captions)
            seconds = time.perf_counter() - start
            rates[name].append(len(captions) / seconds)
    print("| preset | parameters | captions/s | slowest | fastest |")
    print("|---|---|---|---|---|")
    for name, values in rates.items():
        print(
            f"| {name} | {encoders[name].count_params():,} | "
            f"{statistics.median(values):,.0f} | {min(values):,.0f} | "
            f"{max(values):,.0f} |"
        )


def _captions(count):
    """Different captions of blooms, some 50 characters long."""
    captions, index = {}, 0
    while len(captions) < count:
        bloom = blooms.bloom_at("train", index, image_size=32)
        captions.update(dict.fromkeys(bloom.captions))
        index += 1
    return list(captions)[:count]


def _encoder(name, captions):
    arguments = {}
    if name.startswith("word"):
        arguments["vocabulary"] = keras_t2i.text.vocabulary_of(captions, 5000)
    return keras_t2i.CharCNNRNN.from_preset(name, **arguments)


if __name__ == "__main__":
    main()
