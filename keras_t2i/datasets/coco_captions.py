"""MS-COCO's images with their captions."""

import os
import pathlib
import re
from typing import Any

from keras_t2i.captions import caption_damage
from keras_t2i.captions import is_utf8
from keras_t2i.captions import usable_captions
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import Source
from keras_t2i.datasets.source import existing_folder
from keras_t2i.reading import read_json
from keras_t2i.types import StrPath

_FILE = re.compile(r"captions_((train|val)(\d{4}))\.json")
# The captions of COCO's own test images are not published.
_SPLITS = {"train": "train", "val": "test"}
# The largest that is published, of 2017, has 92 MB. It takes up to fifteen
# times as much memory, beside the lists and objects.
_MAX_TABLE_BYTES = 2**27
# Of the annotations that cannot be used, so many are named one by one.
_MAX_NAMED = 1000
_LAYOUT = (
    "The layout is annotations/captions_train2017.json and "
    "train2017/000000000009.jpg; the same for val2017, or for 2014."
)


class CocoCaptions(Source):
    """MS-COCO in its original layout, of 2014 or of 2017.

    - `annotations/captions_train2017.json` and `train2017`, for training;
    - `annotations/captions_val2017.json` and `val2017`, for testing.

    The id of an image is its file with its folder, such as
    `train2017/000000000009.jpg`. There are no classes.

    Args:
        source_dir: path of the folder that holds them.

    Raises:
        ValueError: the part for training is missing or empty, a table is
            damaged, or both years are there, which have images in common.

    Reference:
        - [Chen et al., 2015](https://arxiv.org/abs/1504.00325)
    """

    name = "coco_captions"

    def __init__(self, source_dir: StrPath):
        super().__init__()
        self._root = existing_folder(source_dir, "the folder of MS-COCO")
        found = {
            match[1]: match
            for path in sorted(self._root.glob("annotations/captions_*.json"))
            if (match := _FILE.fullmatch(path.name))
        }
        if len({match[3] for match in found.values()}) != 1:
            raise ValueError(
                f"Expected the captions of one year in {self._root}. "
                f"Received: {sorted(found) or 'none'}. {_LAYOUT}"
            )
        for folder, match in found.items():
            keys = self._list_examples(folder, match[0])
            if keys:
                self._splits[_SPLITS[match[2]]] = keys
        if "train" not in self._splits:
            error = self._nothing_found(
                f"{self._root} with captions, for training",
                "those for testing" if self._splits else "none",
            )
            raise ValueError(f"{error} {_LAYOUT}")

    def read(self, key: Key, image_size: int) -> CaptionedImage:
        """Reads one image with its captions."""
        file, captions = key
        return self._read_files(
            key, image_size, file, self._root / file, captions=captions
        )

    def _list_examples(self, folder: str, table: str) -> list[Key]:
        path = self._root / "annotations" / table
        captions_of = self._read_captions(path)
        if not (self._root / folder).is_dir():
            self._leave_out(
                self._root / folder, "is not there", len(captions_of)
            )
            return []
        keys: list[Key] = []
        # Not those that macOS leaves, whose names start with a dot.
        found = {f for f in os.listdir(self._root / folder) if f[0] != "."}
        for file in sorted(found.union(captions_of)):
            image = self._root / folder / file
            captions = usable_captions(captions_of.get(file, ()))
            if not captions:
                self._leave_out(image, f"has no captions in {table}")
            elif not is_utf8(file):
                self._leave_out(image, "has a name that is not UTF-8")
            elif os.path.basename(file) != file or not os.path.isfile(image):
                self._leave_out(image, f"({table}) is no image in the folder")
            else:
                keys.append((f"{folder}/{file}", captions))
        return keys

    def _read_captions(self, path: pathlib.Path) -> dict[str, list[str]]:
        """Pairs the names of files with captions."""
        try:
            values = read_json(path, _MAX_TABLE_BYTES)
            # As strings: numbers can be chosen so that they have one hash.
            file_of = {
                str(image["id"]): image["file_name"]
                for image in values["images"]
            }
            annotations = values["annotations"]
            if not isinstance(annotations, list) or not all(
                isinstance(file, str) for file in file_of.values()
            ):
                raise TypeError("values of other types")
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path} must hold COCO's captions, with images and "
                f"annotations. Received: {error!r:.200}. Get it again."
            ) from None
        captions_of: dict[str, list[str]] = {f: [] for f in file_of.values()}
        num_unusable = 0
        for number, annotation in enumerate(annotations, start=1):
            reason = _add(annotation, file_of, captions_of)
            if reason is not None:
                num_unusable += 1
                if num_unusable <= _MAX_NAMED:
                    self._leave_out(f"{path} annotation {number}", reason)
        num_more = num_unusable - _MAX_NAMED
        if num_more > 0:
            self._leave_out(
                path, f"{num_more} more annotations cannot be used", num_more
            )
        return captions_of


def _add(
    annotation: Any, file_of: dict[str, str], captions_of: dict[str, list[str]]
) -> str | None:
    """Takes up a caption, or tells why it cannot be used."""
    try:
        caption = annotation["caption"]
        file = file_of[str(annotation["image_id"])]
    except (KeyError, TypeError):
        return "has no caption or no image_id of an image"
    if not isinstance(caption, str):
        return "has a caption that is no text"
    damage = caption_damage(caption)
    if damage is None:
        captions_of[file].append(caption)
    return damage
