"""The captions that a training draws again and again, and their pictures."""

import io
import os
import pathlib

import numpy as np
import PIL.Image
import PIL.ImageOps

from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.files import atomic_write
from keras_t2i.plots.grids import image_grid

_NUM_SAMPLES = 8


def sample_captions(
    data: str | os.PathLike, manifest: Manifest
) -> tuple[list[str], np.ndarray]:
    """Returns captions, of unseen classes where there are some, and images.

    Args:
        data: path of a prepared data set.
        manifest: `Manifest` of it.

    Returns:
        List of captions, and uint8 array of their real images.
    """
    split = "test" if "test" in manifest.splits else next(iter(manifest.splits))
    examples = PreparedExamples(data, split)
    count = min(_NUM_SAMPLES, len(examples))
    captions, images = [], []
    for index in np.linspace(0, len(examples) - 1, count).astype(int):
        example = examples.read(index)
        captions.append(example.captions[0])
        image = PIL.Image.open(io.BytesIO(example.image))
        size = (manifest.image_size, manifest.image_size)
        images.append(np.asarray(PIL.ImageOps.fit(image, size)))
    return captions, np.stack(images)


def write_real_samples(
    folder: pathlib.Path, captions: list[str], images: np.ndarray
) -> None:
    """Writes `real.png`: the real images of the captions that are drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    figure = image_grid(images[:, None], captions)
    with atomic_write(folder / "real.png") as temporary:
        figure.savefig(temporary, format="png")
