"""Training photographs in place of generated images, as a rival for `evaluate`.

    python benchmarks/nearest_photographs.py --data data/oxford64 \
        --out runs/photographs
    keras-t2i evaluate --images runs/photographs --data data/oxford64

Writes an image for each one of the split `test`: the training image whose texts
are the nearest to a caption of it. These images look real, and their classes
are not those of the test, which a GAN has not seen either. --random takes any
training images. The folder holds photographs of others, and should stay
private.
"""

import argparse
import pathlib

import numpy as np
from PIL import Image

from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.evaluation import EvaluationCaptions
from keras_t2i.evaluation.generated_images import seen_by_models
from keras_t2i.metrics.distances import unit_rows
from keras_t2i.text import embed_texts
from keras_t2i.training.model_files import load_text_encoder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared data set")
    parser.add_argument("--text-encoder", default="gan_int_cls_plus_flowers")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    training = PreparedExamples(arguments.data, "trainval")
    captions = EvaluationCaptions(arguments.data, "test")
    if arguments.random:
        generator = np.random.default_rng(0)
        found = generator.permutation(len(training))[: len(captions)]
    else:
        encoder = load_text_encoder(arguments.text_encoder)
        found = _nearest(encoder, captions.captions, training)
    read = seen_by_models(training, arguments.image_size)
    for id, row in zip(captions.ids, found):
        path = arguments.out / f"{id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(read(np.array([row]))[0]).save(path)
    print(f"{len(set(found))} images for {len(captions)} captions")


def _nearest(encoder, captions, training):
    of_images = [training.read(row).captions for row in range(len(training))]
    embeddings = embed_texts(
        encoder, [text for one in of_images for text in one]
    )
    ends = np.cumsum([len(one) for one in of_images])
    means = [part.mean(axis=0) for part in np.split(embeddings, ends[:-1])]
    texts = unit_rows(embed_texts(encoder, captions))
    return np.argmax(texts @ unit_rows(np.stack(means)).T, axis=1)


if __name__ == "__main__":
    main()
