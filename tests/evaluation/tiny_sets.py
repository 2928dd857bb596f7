"""Tiny data sets, judges and models to evaluate with."""

import dataclasses

import keras
import numpy as np
from PIL import Image

from keras_t2i.blooms import bloom_at
from keras_t2i.datasets.images import encode_png
from keras_t2i.datasets.manifest import write_manifest
from keras_t2i.datasets.shards import CaptionedImage
from tests.datasets.prepared_sets import example
from tests.datasets.prepared_sets import write_prepared_set

NUM_TEST = 120
NUM_CLASSES = 12
# As `prepare` stores images for models of 32 pixels.
STORED = {"height": 38, "width": 43}


def write_set(folder, num_test=NUM_TEST, class_names=None, num_training=20):
    """Noise images: `num_test` in split test, others in train and val."""
    if class_names is None:
        class_names = [f"class {number}" for number in range(NUM_CLASSES)]

    def examples(first, count):
        return [
            example(
                number,
                number % len(class_names) if class_names else -1,
                (f"image number {number}", f"the {number}. one"),
                **STORED,
            )
            for number in range(first, first + count)
        ]

    splits = {"test": [examples(0, num_test)]}
    if num_training:
        splits["train"] = [examples(1000, num_training)]
        splits["val"] = [examples(2000, num_training)]
    write_prepared_set(folder, splits, class_names, image_size=32)
    return folder


def write_blooms(folder, num_test=50):
    """Blooms whose first captions alone are kept."""
    splits = {}
    for split, count in (("test", num_test), ("train", 10)):
        blooms = [bloom_at(split, index) for index in range(count)]
        splits[split] = [
            [
                CaptionedImage(
                    f"{split}-{index}",
                    encode_png(np.asarray(_of_32_pixels(bloom.image))),
                    (_caption(bloom.content),),
                )
                for index, bloom in enumerate(blooms)
            ]
        ]
    manifest = write_prepared_set(folder, splits, (), image_size=32)
    write_manifest(folder, dataclasses.replace(manifest, name="blooms"))
    return folder


def _of_32_pixels(pixels):
    return Image.fromarray(pixels).resize((32, 32), Image.Resampling.BOX)


def _caption(content):
    return f"{content.petal_color} petals and a {content.center_color} center"


def judging_network(**options):
    """A tiny one, with a map of 4 x 4 and features that are not all alike."""
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(8, 8, strides=8, activation="relu"),
        ],
        **{"name": "tiny_judge", **options},
    )


def central_squares(images):
    """The part of stored noise images that a model sees."""
    # 38 - 32 and 43 - 32 pixels of room, halved upwards.
    return np.stack([image[3:35, 6:38] for image in images])


def write_images(folder, ids, images):
    for id, image in zip(ids, images):
        path = folder / f"{id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
