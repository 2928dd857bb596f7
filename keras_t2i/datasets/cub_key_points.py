"""Where the parts of the CUB-200-2011 birds are: their poses."""

import os
import pathlib

import numpy as np

from keras_t2i.datasets.cub_birds import find_cub_dir

KEY_POINTS = ("beak", "belly", "breast", "crown", "forehead", "tail")


def cub_key_points(source_dir: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads six key-points of each bird that shows all of them.

    Two birds whose key-points are alike have one pose, such as
    `keras_t2i.metrics.style_clusters` finds them.

    Args:
        source_dir: path of the folder `CUB_200_2011`, or of the one it is in,
            with `parts/parts.txt`, `parts/part_locs.txt`, `images.txt` and
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
    cub_dir = find_cub_dir(pathlib.Path(source_dir))
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
    points = {}
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
            id = str(pathlib.PurePosixPath(files[image]).with_suffix(""))
            found[id] = (places - corner) / size
    return found


def _rows(path, *kinds):
    """The values of each line; the last of them is the rest of it."""
    if not path.is_file():
        raise ValueError(
            f"Expected the published list {path.name} in {path.parent}. "
            "Received: no such file."
        )
    lines = path.read_text("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, start=1):
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
