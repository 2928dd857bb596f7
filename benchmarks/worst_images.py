"""Which generated images are the least like photographs of their class.

    python benchmarks/worst_images.py --model gan_int_cls_plus_flowers \
        --data data/oxford64 --out worst.png

Generates one image for each one of the split, as `evaluate` does, and shows the
ten whose features are the farthest from those of all real images of their
class, the farthest first. The features are those of `evaluate`.
"""

import argparse

import keras_t2i  # First: it sets TensorFlow up.  # noqa: F401

# isort: split
import numpy as np

from keras_t2i.evaluation import EvaluationCaptions
from keras_t2i.evaluation import ModelImages
from keras_t2i.evaluation import QuickEvaluation
from keras_t2i.evaluation import load_judge
from keras_t2i.evaluation.generated_images import image_batches
from keras_t2i.plots.grids import image_grid
from keras_t2i.progress import show_progress
from keras_t2i.training.model_files import load_gan

_NUM_WORST = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True, help="prepared data set")
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", required=True, help="a .png file")
    arguments = parser.parse_args()
    captions = EvaluationCaptions(arguments.data, arguments.split)
    images = ModelImages(load_gan(arguments.model), captions)
    judge = load_judge()
    real = QuickEvaluation(
        captions, judge, images.image_size, show_progress
    ).real_features
    features = np.concatenate(
        [
            judge.features(batch)
            for _, batch in image_batches(images.read, len(captions))
        ]
    )
    distances = _distances(features, real, captions.examples.class_ids)
    worst = np.argsort(-distances, kind="stable")[:_NUM_WORST]
    texts = [captions.captions[row] for row in worst]
    for row, text in zip(worst, texts):
        print(f"{distances[row]:.1f} {text}")
    print(f"{np.median(distances):.1f} is the median of all")
    image_grid(images.read(worst)[:, None], texts).savefig(arguments.out)


def _distances(features, real, class_ids):
    """Distance of each row to the nearest real one of its class."""
    distances = np.empty(len(features))
    for class_id in np.unique(class_ids):
        rows = class_ids == class_id
        differences = features[rows, None] - real[rows]
        distances[rows] = np.linalg.norm(differences, axis=2).min(axis=1)
    return distances


if __name__ == "__main__":
    main()
