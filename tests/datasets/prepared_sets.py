"""Writes tiny prepared data sets, with whatever records a test needs."""

import io
import pathlib

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import Shard
from keras_t2i.datasets.manifest import Split
from keras_t2i.datasets.manifest import write_manifest
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.files import file_sha256
from keras_t2i.tokenizers import ALPHABET


def write_shard_file(path: pathlib.Path, records: list[bytes]) -> Shard:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return Shard(path.name, file_sha256(path), len(records))


def write_prepared_set(
    folder: pathlib.Path,
    splits: dict[str, list[list[CaptionedImage]]],
    class_names=(),
    image_size=8,
) -> Manifest:
    """Writes `splits`: names to shards, each a list of images."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {}
    for name, parts in splits.items():
        shards = tuple(
            write_shard_file(
                folder / f"{name}-{number:05d}-of-{len(parts):05d}.tfrecord",
                [example.serialize() for example in part],
            )
            for number, part in enumerate(parts)
        )
        examples = [example for part in parts for example in part]
        num_captions = sum(len(example.captions) for example in examples)
        described[name] = Split(len(examples), num_captions, shards)
    manifest = Manifest("tiny", image_size, tuple(class_names), described)
    write_manifest(folder, manifest)
    return manifest


def noise_image(seed: int, height=10, width=12) -> np.ndarray:
    """Pixels by which a crop can tell where it was cut."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, 3), np.uint8)


def example(number: int, class_id=-1, captions=None, **size) -> CaptionedImage:
    """Image `number`, by default captioned with its number and class."""
    encoded = io.BytesIO()
    Image.fromarray(noise_image(number, **size)).save(encoded, "PNG")
    return CaptionedImage(
        id=f"image-{number:03d}",
        image=encoded.getvalue(),
        captions=captions or (f"{number} of class {class_id}",),
        class_id=class_id,
    )


def texts_of(token_ids) -> list[str]:
    """Turns rows of character ids back into texts."""
    return [
        "".join(ALPHABET[id - 1] for id in row if id)
        for row in np.asarray(token_ids)
    ]
