"""The CUB-200-2011 birds, with the captions of Reed et al. (2016)."""

import functools
import os
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import Source
from keras_t2i.datasets.source import existing_folder
from keras_t2i.datasets.source import without_suffix
from keras_t2i.reading import read_text
from keras_t2i.types import StrPath

# For each list: what follows the number at the beginning of a line, and an
# example. Numbers have few digits, which bounds what `int` has to read.
_LISTS = {
    # The number of a class is in its name, too.
    "classes.txt": (r"0*\1\.[^/]+", "1 001.Black_footed_Albatross"),
    "images.txt": (
        r"\d{1,9}\.[^/]+/[^/.][^/]*",
        "1 001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg",
    ),
    "image_class_labels.txt": (r"\d{1,9}", "1 1"),
    # From the left, from the top, width, height, in pixels.
    "bounding_boxes.txt": (
        r"(?:-?\d{1,9}(?:\.\d*)?(?:\s+|$)){4}",
        "1 60.0 27.0 325.0 304.0",
    ),
}
_CAPTION_DIRS = ("text_c10", "text")
_LAYOUT = (
    "The layout is CUB_200_2011/images/001.Black_footed_Albatross/a.jpg, "
    "CUB_200_2011/images.txt and, beside or inside CUB_200_2011, "
    "text_c10/001.Black_footed_Albatross/a.txt."
)


class CubBirds(Source):
    """Caltech-UCSD Birds 200-2011 in their original layout.

    - `images.txt`, `image_class_labels.txt`, `classes.txt` and `images` in the
      folder `CUB_200_2011`;
    - `text_c10/001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.txt`,
      with one caption per line;
    - class lists, if there are any: `trainclasses.txt`, `valclasses.txt` and
      `testclasses.txt`, or `trainvalclasses.txt` instead of the first two.

    `text_c10`, or `text` as AttnGAN and DF-GAN call it, may lie in
    `CUB_200_2011`, beside it, or in a folder `cvpr2016_cub` or `birds` beside
    it, and the lists in `CUB_200_2011`, beside it or beside `text_c10`. Without
    lists, a tenth of the images is for testing. The number before its name
    stands for a class, since some names differ between images and captions.

    Args:
        source_dir: path of the folder `CUB_200_2011`, or of its parent.
        crop_to_bounding_box: bool. Whether to crop each image to a square, as
            StackGAN does: about the center of the bird's bounding box, one and
            a half times as large as the box's longer side, less what lies
            outside the image. Defaults to `False`.

    Raises:
        ValueError: a part is missing or empty, or the class lists do not
            match it.

    Reference:
        - [Wah et al., 2011](
          https://www.vision.caltech.edu/datasets/cub_200_2011/)
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395)
        - [Zhang et al., 2017](https://arxiv.org/abs/1612.03242)
    """

    name = "cub_birds"

    def __init__(self, source_dir: StrPath, crop_to_bounding_box: bool = False):
        super().__init__()
        self._cub_dir = _find_cub_dir(source_dir)
        # Of an absolute path, since "." has no parent.
        beside = pathlib.Path(os.path.abspath(self._cub_dir)).parent
        self._caption_dir = _find_caption_dir(self._cub_dir, beside)
        names = self._read_list("classes.txt")
        keys = self._list_examples(names, crop_to_bounding_box)
        if not keys:
            raise self._nothing_found(
                f"{self._cub_dir} with captions of the same names in "
                f"{self._caption_dir}"
            )
        class_of = {id: class_name for id, (class_name, *_) in keys.items()}
        self.class_names = sorted(set(class_of.values()))
        splits = self._split_examples(
            class_of,
            self._cub_dir,
            beside,
            self._caption_dir.parent,
            class_named=lambda name: names.get(_class_number(name), name),
        )
        self._splits = {
            split: [keys[id] for id in ids] for split, ids in splits.items()
        }

    def caption_file(self, key: Key) -> pathlib.Path:
        """Returns the file with an image's captions."""
        return self._caption_dir / key[2]

    def read(self, key: Key, image_size: int) -> CaptionedImage:
        """Reads one image with its captions."""
        class_name, file, _, box = key
        return self._read_files(
            key,
            image_size,
            without_suffix(file),
            self._cub_dir / "images" / file,
            class_name=class_name,
            crop_of=box and functools.partial(_crop_around, box),
        )

    def _list_examples(
        self, names: dict[int, str], crop_to_bounding_box: bool
    ) -> dict[str, Key]:
        """Pairs ids with keys."""
        files = self._read_list("images.txt")
        labels = self._read_list("image_class_labels.txt")
        boxes = {}
        if crop_to_bounding_box:
            boxes = self._read_list("bounding_boxes.txt")
        captions = self._list_captions()
        without_image = dict(captions)
        keys: dict[str, Key] = {}
        for image_number, file in files.items():
            image = self._cub_dir / "images" / file
            class_number, id = _class_number(file), without_suffix(file)
            bird = class_number, pathlib.PurePosixPath(id).name
            without_image.pop(bird, None)
            if id in keys:
                self._leave_out(image, "is in images.txt twice")
            elif class_number not in names:
                self._leave_out(image, "is of no class in classes.txt")
            elif image_number not in labels:
                self._leave_out(image, "is not in image_class_labels.txt")
            elif int(labels[image_number]) != class_number:
                self._leave_out(
                    image,
                    "is of another class than its folder in "
                    f"image_class_labels.txt: {labels[image_number]}",
                )
            elif bird not in captions:
                self._leave_out(
                    image, f"has no captions in {self._caption_dir}"
                )
            elif crop_to_bounding_box and image_number not in boxes:
                self._leave_out(image, "has no box in bounding_boxes.txt")
            else:
                keys[id] = (
                    names[class_number],
                    file,
                    captions[bird],
                    boxes.get(image_number),
                )
        for file in without_image.values():
            path = self._caption_dir / file
            self._leave_out(path, "has no image in images.txt")
        return keys

    def _list_captions(self) -> dict[tuple[int, str], str]:
        """Pairs class numbers and names of images with caption files."""
        captions: dict[tuple[int, str], str] = {}
        # Not those that macOS leaves, whose names start with a dot.
        for path in sorted(self._caption_dir.glob("[!.]*/[!.]*.txt")):
            file = path.relative_to(self._caption_dir).as_posix()
            bird = _class_number(file), path.stem
            if captions.setdefault(bird, file) != file:
                self._leave_out(
                    path, f"its image has captions in {captions[bird]} already"
                )
        return captions

    def _read_list(self, name: str) -> dict[int, str]:
        """Pairs the numbers that lines begin with and what follows them."""
        pattern, example = _LISTS[name]
        path = _published_list(self._cub_dir / name)
        # Bytes that are not UTF-8 become surrogates, which are not printable.
        text = read_text(path)
        values = {}
        for line_number, line in enumerate(text.split("\n"), start=1):
            line = line.strip()
            if not line:
                continue
            match = re.fullmatch(rf"(\d{{1,9}})\s+({pattern})", line)
            if match is None or not line.isprintable():
                reason = f"expected a line such as {example!r}"
            elif int(match[1]) in values:
                reason = f"{match[1]} has a line already"
            else:
                values[int(match[1])] = match[2]
                continue
            reason += f". Received: {line[:100]!r}"
            self._leave_out(f"{path} line {line_number}", reason)
        return values


def _find_cub_dir(source_dir: StrPath) -> pathlib.Path:
    source_dir = existing_folder(
        source_dir, "the folder of the CUB-200-2011 birds"
    )
    for path in (source_dir, source_dir / "CUB_200_2011"):
        if (path / "images").is_dir() and (path / "images.txt").is_file():
            return path
    raise ValueError(
        "Expected a folder CUB_200_2011 with images and images.txt. Received: "
        f"{source_dir}, which neither is nor holds one. {_LAYOUT}"
    )


def _find_caption_dir(
    cub_dir: pathlib.Path, beside: pathlib.Path
) -> pathlib.Path:
    candidates = (cub_dir, beside, beside / "cvpr2016_cub", beside / "birds")
    # `text` in AttnGAN and DF-GAN.
    found = [path / name for path in candidates for name in _CAPTION_DIRS]
    found = [path for path in found if path.is_dir()]
    if len(found) != 1:
        raise ValueError(
            f"Expected one folder 'text_c10' or 'text' in {cub_dir}, in "
            f"{beside}, or in a folder cvpr2016_cub or birds of the latter. "
            "Received: "
            f"{[str(path) for path in found] or 'none'}. {_LAYOUT}"
        )
    return found[0]


def _class_number(name: str) -> int:
    match = re.match(r"(\d{1,9})\.", name)
    return int(match[1]) if match else -1


def _crop_around(
    box: str, image_width: int, image_height: int
) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of the square around a box."""
    x, y, width, height = (int(float(value)) for value in box.split())
    center_x, center_y = x + width // 2, y + height // 2
    if not (
        min(width, height) > 0
        and 0 <= center_x < image_width
        and 0 <= center_y < image_height
    ):
        raise ValueError(
            f"its bounding box (x, y, width, height: {box}) is empty or "
            f"outside its {image_width} x {image_height} pixels"
        )
    radius = max(1, 3 * max(width, height) // 4)
    # Differs from StackGAN, which makes a square of what the border cuts off
    # too: here the aspect ratio is kept, as for all images.
    return (
        max(0, center_x - radius),
        max(0, center_y - radius),
        min(image_width, center_x + radius),
        min(image_height, center_y + radius),
    )


KEY_POINTS = ("beak", "belly", "breast", "crown", "forehead", "tail")


def cub_key_points(source_dir: StrPath) -> dict[str, np.ndarray]:
    """Reads six key-points of each bird that shows all of them.

    Birds whose key-points are alike have one pose, as
    `keras_t2i.metrics.style_clusters` finds it.

    Args:
        source_dir: path of the folder `CUB_200_2011`, or of its parent. It
            holds `parts/parts.txt`, `parts/part_locs.txt`, `images.txt` and
            `bounding_boxes.txt`.

    Returns:
        dict of the ids of a prepared data set to float arrays of shape
        `(6, 2)`: x and y of `KEY_POINTS`, in this order, as fractions of the
        bird's bounding box from its left and its top.

    Raises:
        ValueError: a list is missing or damaged.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    cub_dir = _find_cub_dir(source_dir)
    part_names = {
        int(number): name.strip()
        for number, name in _rows(cub_dir / "parts" / "parts.txt", int, str)
    }
    missing = set(KEY_POINTS) - set(part_names.values())
    if missing:
        raise ValueError(
            f"{cub_dir / 'parts' / 'parts.txt'} must name {KEY_POINTS}. "
            f"Received: a list without {sorted(missing)}."
        )
    files = dict(_rows(cub_dir / "images.txt", int, str))
    boxes = {
        number: np.array(box)
        for number, *box in _rows(
            cub_dir / "bounding_boxes.txt", int, float, float, float, float
        )
    }
    points: dict[int, dict[str, tuple[float, float]]] = {}
    for image, part, x, y, visible in _rows(
        cub_dir / "parts" / "part_locs.txt", int, int, float, float, int
    ):
        name = part_names.get(part)
        if visible and name in KEY_POINTS:
            points.setdefault(image, {})[name] = (x, y)
    found = {}
    for image, of_bird in points.items():
        known = image in files and image in boxes
        if known and len(of_bird) == len(KEY_POINTS) and boxes[image][2:].all():
            corner, size = np.split(boxes[image], 2)
            places = np.array([of_bird[name] for name in KEY_POINTS])
            found[without_suffix(files[image])] = (places - corner) / size
    return found


def _rows(path: pathlib.Path, *kinds: type) -> Iterator[list]:
    """Gives the values of each line; the last one is the rest of the line."""
    text = read_text(_published_list(path), errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        values = line.split(maxsplit=len(kinds) - 1)
        if not values:
            continue
        try:
            yield [
                kind(value) for kind, value in zip(kinds, values, strict=True)
            ]
        except ValueError:
            raise ValueError(
                f"{path} line {number} must hold {len(kinds)} values: "
                f"{', '.join(kind.__name__ for kind in kinds)}. Received: "
                f"{line[:100]!r}"
            ) from None


def _published_list(path: pathlib.Path) -> pathlib.Path:
    if not path.is_file():
        raise ValueError(
            f"Expected the published list {path.name} in {path.parent}. "
            "Received: no such file."
        )
    return path
