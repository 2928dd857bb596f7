"""The images to be measured, and the captions that they are generated from."""

import collections
import contextlib
import os
import pathlib
import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from typing import Protocol

import keras
import numpy as np
from PIL import Image
from PIL import UnidentifiedImageError

from keras_t2i.checks import check_whole_number
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.images import model_square
from keras_t2i.datasets.images import read_square
from keras_t2i.datasets.images import without_image_suffix
from keras_t2i.reading import UnusableFileError
from keras_t2i.reading import walk
from keras_t2i.types import StrPath

_BATCH_SIZE = 32
_SEED = 0
_NUMBER = re.compile(r"(?P<id>.+)_(?P<number>\d+)", re.DOTALL)


# Of how many images are done, and of all.
Progress = Callable[[int, int], None]
# Of a description and a unit.
ShowProgress = Callable[[str, str], AbstractContextManager[Progress]]


class ImageModel(Protocol):
    """Whatever generates images, such as a `TextToImageGAN` or a `Client`."""

    def generate(self, captions: Any, seed: Any = 0) -> np.ndarray:
        """Returns uint8 images of shape `(num_captions, size, size, 3)`."""


@contextlib.contextmanager
def show_nothing(description: str, unit: str) -> Iterator[Progress]:
    """Shows no progress."""
    yield lambda done, total: None


def seen_by_models(
    examples: PreparedExamples, image_size: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function of row numbers to what models see of real images."""
    sizes = examples.image_size, image_size
    return lambda rows: np.stack(
        [model_square(examples.read(row).image, *sizes) for row in rows]
    )


def image_batches(
    read: Callable[[np.ndarray], np.ndarray], num_images: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields batches of row numbers, and the images that `read` gives for them.

    `read` maps ints of shape `(num_rows,)` to uint8 images of shape
    `(num_rows, image_size, image_size, 3)`.
    """
    for start in range(0, num_images, _BATCH_SIZE):
        rows = np.arange(start, min(start + _BATCH_SIZE, num_images))
        yield rows, read(rows)


class EvaluationCaptions:
    """One caption of each image of a split, the same ones each time.

    Args:
        path: path. Folder of the prepared data set.
        split: string.

    Attributes:
        examples: `PreparedExamples` of the split.
        ids: list of strings. The ids of its images.
        captions: list of strings. One per image.

    Raises:
        ValueError: the data set is damaged, or has no such split.

    Example:

    >>> from keras_t2i.datasets.blooms_source import BloomsSource
    >>> from keras_t2i.datasets.preparation import prepare
    >>> folder = tempfile.mkdtemp()
    >>> _ = prepare(BloomsSource(num_images=10), folder, image_size=32)
    >>> chosen = keras_t2i.evaluation.EvaluationCaptions(folder, "test")
    >>> len(chosen.ids), len(chosen.captions)
    (1, 1)
    """

    def __init__(self, path: StrPath, split: str):
        self.path = path
        self.split = split
        self.examples = PreparedExamples(path, split)
        self.ids = self.examples.text_ids()
        generator = np.random.default_rng(_SEED)
        self.captions = []
        for index in range(len(self.examples)):
            captions = self.examples.read(index).captions
            self.captions.append(captions[generator.integers(len(captions))])

    def __len__(self) -> int:
        return len(self.captions)


class ModelImages:
    """The images that a model generates from the captions of a split.

    They are generated each time they are read; none is kept.

    Args:
        model: anything with `generate(captions, seed)`, such as
            `TextToImageGAN` or `keras_t2i.export.Client`.
        captions: `EvaluationCaptions`.
        images_per_caption: int. Image `k` of the caption of image `i` has the
            seed `i + k * len(captions)`. Defaults to `1`.
        trained_with: names of networks that the model was trained with, beside
            those that its discriminators name. Defaults to none.

    Attributes:
        indices: int array of shape `(num_images,)`: the image of the split
            whose caption each is generated from, in rising order.
        image_size: int. Side of the images in pixels.
        protocol: string. How the images were generated.
        trained_with: frozenset of strings. All networks that the model is
            known to be trained with.
        text_encoder: `keras.Model`. The model's own, `None` if unknown, as for
            a served model.

    Raises:
        ValueError: `images_per_caption` is below 1, or the model has diverged.
    """

    def __init__(
        self,
        model: ImageModel,
        captions: EvaluationCaptions,
        images_per_caption: int = 1,
        trained_with: Iterable[str] = (),
    ):
        check_whole_number(images_per_caption, "images_per_caption", 1)
        # Images would hide it: NaN becomes gray.
        generator = getattr(model, "ema_generator", None)
        weights = [] if generator is None else generator.get_weights()
        if not all(np.isfinite(weight).all() for weight in weights):
            raise ValueError(
                "A model must have finite weights. Received: NaN or infinity "
                "in its generator. Take an earlier checkpoint."
            )
        self._model = model
        self._captions = captions.captions
        self.indices = np.repeat(np.arange(len(captions)), images_per_caption)
        numbers = np.tile(np.arange(images_per_caption), len(captions))
        self._seeds = self.indices + numbers * len(captions)
        self.text_encoder: keras.Model | None = getattr(
            model, "text_encoder", None
        )
        discriminator = getattr(model, "discriminator", None)
        members = getattr(discriminator, "members", [discriminator])
        networks = [getattr(member, "network", None) for member in members]
        self.trained_with = frozenset({*filter(None, networks), *trained_with})
        self.image_size = self.read(np.arange(1)).shape[1]
        self.protocol = (
            "one caption of each image of the split, chosen with seed 0; "
            f"images generated from each: {images_per_caption}; image k of "
            f"the caption of image i has the noise of seed i + k * "
            f"{len(captions)}"
        )
        truncation = getattr(model, "truncation", 1.0)
        if truncation != 1.0:
            self.protocol += f", times {truncation:g}"

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Generates images.

        Args:
            rows: int array of shape `(num_rows,)`. Positions in `indices`.

        Returns:
            uint8 array of shape `(num_rows, image_size, image_size, 3)`.
        """
        captions = [self._captions[index] for index in self.indices[rows]]
        return self._model.generate(captions, seed=self._seeds[rows].tolist())


class FolderImages:
    """The generated images of a folder, by the ids of the images of a split.

    A file has the id of the image whose caption it was generated from:
    `image_00042.png`. An id with a suffix, `roses/1.jpg`, may keep it in front
    of the file's own or not: `roses/1.jpg.png`, `roses/1.png`. Several images
    of a caption are numbered: `image_00042_0.png`, `image_00042_1.png`. Ids
    with `/` are paths of sub-folders. The folder may hold images of a part of
    the split only.

    Images are taken at the size that most of them have; the others are resized
    and cropped to the center. They are read each time; none is kept.

    Args:
        path: path of the folder.
        ids: list of strings, as of `EvaluationCaptions`.

    Attributes:
        indices: int array of shape `(num_images,)`: the image of the split
            that each belongs to, in rising order.
        image_size: int. Side of the images in pixels.
        protocol: string. How the images were generated.
        trained_with: empty frozenset: nothing is known of the model.
        text_encoder: `None`, likewise.
        foreign: list of strings. Files that are left out: their name is not an
            image's, or another file has it.
        unreadable: list of strings. Damaged files, which are left out, with
            the reason.
        num_missing: int. Images of the split without any file.

    Raises:
        ValueError: there is no such folder, it holds no such image, or half of
            its images are damaged.

    Example:

    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (32, 32)).save(folder + "/b.png")
    ...     images = keras_t2i.evaluation.FolderImages(folder, ["a", "b"])
    ...     images.indices.tolist(), images.read(np.arange(1)).shape
    ([1], (1, 32, 32, 3))
    """

    trained_with: frozenset[str] = frozenset()
    text_encoder = None

    def __init__(self, path: StrPath, ids: Sequence[str]):
        path = pathlib.Path(path)
        if not path.is_dir():
            raise ValueError(
                "Generated images must lie in a folder. Received: "
                f"{str(path)!r}, which is not a folder."
            )
        files, self.foreign = _files_by_id(path, ids)
        self.unreadable: list[str] = []
        sizes = {}
        for key, file in files.items():
            try:
                with Image.open(file) as image:
                    sizes[key] = min(image.size)
            except UnidentifiedImageError:
                self._leave_out(path, file, "is not an image")
            # Pillow raises errors of many kinds for damaged files.
            except Exception as error:
                self._leave_out(path, file, error)
        if sizes:
            counts = collections.Counter(sizes.values())
            # Of equally frequent sizes, the smaller one.
            self.image_size = min(counts, key=lambda s: (-counts[s], s))
        self._files, indices = [], []
        for key in sorted(sizes):
            try:
                read_square(files[key], self.image_size)
            except UnusableFileError as error:
                self._leave_out(path, files[key], error.reason)
            else:
                self._files.append(files[key])
                indices.append(key[0])
        self.indices = np.array(indices, np.int64)
        if not files:
            named = ", ".join(map(repr, self.foreign[:3])) or "no images"
            raise ValueError(
                f"{path} must hold images that are named by the ids of the "
                f"split, such as {ids[0] + '.png'!r}. Received: {named}. "
                "Name the right --split."
            )
        if 2 * len(self.unreadable) >= len(files):
            raise ValueError(
                f"{path} must hold images that can be read. Received: "
                f"{len(self.unreadable)} of {len(files)} that cannot, such as "
                f"{self.unreadable[0]}. Write them again, as PNG or JPEG files."
            )
        self.num_missing = len(ids) - len(set(indices))
        self.protocol = (
            "images of a folder, each taken as generated from one caption of "
            "the image whose id it bears, chosen with seed 0"
        )

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Reads images.

        Args:
            rows: int array of shape `(num_rows,)`. Positions in `indices`.

        Returns:
            uint8 array of shape `(num_rows, image_size, image_size, 3)`.
        """
        return np.stack(
            [read_square(self._files[row], self.image_size) for row in rows]
        )

    def _leave_out(
        self, folder: pathlib.Path, file: pathlib.Path, reason: object
    ) -> None:
        name = file.relative_to(folder).as_posix()
        self.unreadable.append(f"{name} ({reason})")


def _files_by_id(
    path: pathlib.Path, ids: Sequence[str]
) -> tuple[dict[tuple[int, int], pathlib.Path], list[str]]:
    """Files by the place of their image and their number; all other names."""
    # Ids of a folder's images have a suffix, which a file may leave out.
    short = collections.Counter(without_image_suffix(id) for id in ids)
    place_of = {
        short_id: place
        for place, id in enumerate(ids)
        if short[short_id := without_image_suffix(id)] == 1
    }
    place_of |= {id: place for place, id in enumerate(ids)}
    files: dict[tuple[int, int], pathlib.Path] = {}
    foreign = []
    for file in walk(path):
        if not os.path.isfile(file):
            continue
        name = file.relative_to(path).as_posix()
        id, number = without_image_suffix(name), -1
        # An id that ends like a number comes first.
        match = None if id in place_of else _NUMBER.fullmatch(id)
        if match:
            id, number = match["id"], int(match["number"])
        key = (place_of.get(id, -1), number)
        if id not in place_of or key in files:
            foreign.append(name)
        else:
            files[key] = file
    return files, foreign
