"""Generated images that lie in a folder, to be measured."""

import collections
import os
import pathlib
import re

import numpy as np
from PIL import Image
from PIL import UnidentifiedImageError

from keras_t2i.datasets.images import read_square
from keras_t2i.datasets.source import UnusableFileError

_SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    ".ppm",
}
_NUMBER = re.compile(r"(?P<id>.+)_(?P<number>\d+)", re.DOTALL)


class FolderImages:
    """The generated images of a folder, by the ids of the images of a split.

    A file is called like the id of the image whose caption it was generated
    from; of several images of a caption, each has another number behind it:
    `image_00042.png`, or `image_00042_0.png`, `image_00042_1.png`. Where ids
    contain `/`, they are paths of sub-folders. The folder may hold images of a
    part of the split only.

    Images are taken at the size that most of them have; others are resized and
    their center cut out. They are read whenever they are needed: none is kept.

    Args:
        path: path of the folder.
        ids: list of strings, as of `EvaluationCaptions`.

    Attributes:
        indices: int array of shape `(num_images,)`: the image of the split
            that each belongs to, in rising order.
        image_size: int. Side of the images in pixels.
        protocol: string. How the images came to be.
        trained_with: empty frozenset: nothing is known of what made them.
        text_encoder: `None`, likewise.
        foreign: list of strings. The files whose name is no image's, and
            second ones of the same name, which are left out.
        unreadable: list of strings. What is wrong with damaged files, which
            are left out.
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

    trained_with = frozenset()
    text_encoder = None

    def __init__(self, path: str | os.PathLike, ids: list[str]):
        path = pathlib.Path(path)
        if not path.is_dir():
            raise ValueError(
                "Generated images must lie in a folder. Received: "
                f"{str(path)!r}, which is none."
            )
        files, self.foreign = _files_by_id(path, ids)
        self.unreadable = []
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
            # Of equally many, the smaller ones.
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
                f"{self.unreadable[0]}."
            )
        self.num_missing = len(ids) - len(set(indices))
        self.protocol = (
            "images of a folder, each taken as generated from one caption of "
            "the image whose id it bears, chosen with seed 0"
        )

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Reads images.

        Args:
            rows: int array of shape `(num_rows,)`, places in `indices`.

        Returns:
            uint8 array of shape `(num_rows, image_size, image_size, 3)`.
        """
        return np.stack(
            [read_square(self._files[row], self.image_size) for row in rows]
        )

    def _leave_out(self, path, file, reason):
        name = file.relative_to(path).as_posix()
        self.unreadable.append(f"{name} ({reason})")


def _files_by_id(path, ids):
    """Places of images and numbers, to files; and the names of all others."""
    place_of = {id: place for place, id in enumerate(ids)}
    files, foreign = {}, []
    for file in sorted(path.rglob("*")):
        if file.name.startswith(".") or not file.is_file():
            continue
        name = file.relative_to(path).as_posix()
        id, number = name, -1
        if file.suffix.lower() in _SUFFIXES:
            id = name[: -len(file.suffix)]
        # An id that ends like a number comes first.
        match = None if id in place_of else _NUMBER.fullmatch(id)
        if match:
            id, number = match["id"], int(match["number"])
        key = (place_of.get(id), number)
        if id not in place_of or key in files:
            foreign.append(name)
        else:
            files[key] = file
    return files, foreign
