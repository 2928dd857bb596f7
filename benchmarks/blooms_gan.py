"""How well GANs trained on blooms obey captions of unseen kinds of flowers.

python benchmarks/blooms_gan.py --data data/blooms runs/gan runs/gan_cls

Prints one row per run, and writes it to measured.json in the run's folder.
"""

import argparse
import io
import json
import pathlib

import numpy as np
import PIL.Image

from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.metrics import bloom_attribute_accuracy
from keras_t2i.metrics import diversity
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.run_folder import RunFolder

ATTRIBUTES = ("petal_color", "center_color", "petal_shape", "petal_count")
NUM_CAPTIONS = 2000
# Captions, and images of each, whose diversity is measured.
NUM_REPEATED = 20
NUM_IMAGES = 16


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared blooms")
    parser.add_argument("runs", nargs="+", help="run folders of `train`")
    arguments = parser.parse_args()
    examples = PreparedExamples(arguments.data, "test")
    captions, images = unseen(examples)
    real = bloom_attribute_accuracy(images, captions)
    columns = ["steps", "minutes", *ATTRIBUTES, "diversity", "of real"]
    print("| run | " + " | ".join(columns).replace("_", " ") + " |")
    print("|---" * (len(columns) + 1) + "|")
    shares = " | ".join(f"{real[name]:.1%}" for name in ATTRIBUTES)
    real_diversity = diversity_of_classes(examples)
    print(f"| real images | | | {shares} | {real_diversity:.3f} | |")
    for run in map(pathlib.Path, arguments.runs):
        row = measured(run, captions, real, real_diversity)
        shares = " | ".join(f"{row[name]:.1%}" for name in ATTRIBUTES)
        print(
            f"| {run.name} | {row['steps']:,} | {row['minutes']:.1f} | "
            f"{shares} | {row['diversity']:.3f} | "
            f"{row['diversity_of_real']:.0%} |",
            flush=True,
        )
        text = json.dumps(row, indent=2) + "\n"
        (run / "measured.json").write_text(text, "utf-8")


def unseen(examples):
    """Returns captions of unseen kinds, one per image, and the images."""
    generator = np.random.default_rng(0)
    chosen = generator.permutation(len(examples))[:NUM_CAPTIONS]
    rows = [examples.read(index) for index in chosen]
    captions = [str(generator.choice(row.captions)) for row in rows]
    return captions, np.stack([decoded(row) for row in rows])


def decoded(row):
    return np.asarray(PIL.Image.open(io.BytesIO(row.image)))


def diversity_of_classes(examples):
    """Returns the mean diversity of real images of one kind of flower."""
    by_class = {}
    for index in range(len(examples)):
        row = examples.read(index)
        by_class.setdefault(row.class_id, []).append(row)
    return np.mean(
        [
            diversity(np.stack([decoded(row) for row in rows[:NUM_IMAGES]]))
            for rows in by_class.values()
            if len(rows) >= 2
        ]
    )


def measured(run, captions, real, real_diversity):
    """Returns what one run reached; accuracies as shares of the reader's."""
    gan = load_gan(run)
    accuracy = bloom_attribute_accuracy(gan.generate(captions), captions)
    repeated = gan.generate(
        np.repeat(captions[:NUM_REPEATED], NUM_IMAGES).tolist(),
        seed=np.tile(np.arange(NUM_IMAGES), NUM_REPEATED),
    )
    generated = np.mean(
        [diversity(images) for images in np.split(repeated, NUM_REPEATED)]
    )
    # A killed run may have metrics of steps after its last checkpoint.
    step = RunFolder(run).last_step()
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    seconds = [
        line["seconds"]
        for line in map(json.loads, lines)
        if line["step"] <= step
    ]
    return {
        "steps": step,
        "minutes": seconds[-1] / 60,
        **{name: accuracy[name] / real[name] for name in ATTRIBUTES},
        "diversity": float(generated),
        "diversity_of_real": float(generated / real_diversity),
    }


if __name__ == "__main__":
    main()
