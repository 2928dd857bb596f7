"""The Oxford-102 flowers, with the captions of Reed et al. (2016)."""

import pathlib

from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import Source
from keras_t2i.datasets.source import existing_folder
from keras_t2i.types import StrPath

_SUFFIXES = (".jpg", ".JPG", ".jpeg", ".JPEG")


class OxfordFlowers(Source):
    """Oxford-102 flowers in their original layout.

    - `jpg/image_00001.jpg`;
    - `text_c10/class_00001/image_06734.txt`, with one caption per line;
    - class lists, if there are any: `trainclasses.txt`, `valclasses.txt` and
      `testclasses.txt`, or `trainvalclasses.txt` instead of the first two.

    Images may also end in `.JPG` or `.jpeg`.

    `jpg` and `text_c10` may lie in `source_dir` itself or in a folder of it,
    as the archives unpack, and the lists in `source_dir` or beside `text_c10`.
    The folder of an image's captions is its class. Without lists, a tenth of
    the images is for testing.

    Args:
        source_dir: path of a folder.

    Raises:
        ValueError: a part is missing or empty, or the class lists do not
            match it.

    Reference:
        - [Nilsback and Zisserman, 2008](
          https://www.robots.ox.ac.uk/~vgg/data/flowers/102/)
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395)
    """

    name = "oxford_flowers"

    def __init__(self, source_dir: StrPath):
        super().__init__()
        source_dir = existing_folder(
            source_dir, "the folder of the Oxford-102 flowers"
        )
        self._image_dir = _find(source_dir, "jpg")
        self._caption_dir = _find(source_dir, "text_c10")
        class_of = self._list_examples()
        if not class_of:
            raise self._nothing_found(
                f"{self._image_dir} with captions of the same names in "
                f"{self._caption_dir}/class_*"
            )
        self.class_names = sorted(set(class_of.values()))
        splits = self._split_examples(
            class_of, source_dir, self._caption_dir.parent
        )
        self._splits = {
            split: [(class_of[id], id) for id in ids]
            for split, ids in splits.items()
        }

    def caption_file(self, key: Key) -> pathlib.Path:
        """Returns the file with an image's captions."""
        class_name, id = key
        return self._caption_dir / class_name / f"{id}.txt"

    def read(self, key: Key, image_size: int) -> CaptionedImage:
        """Reads one image with its captions."""
        class_name, id = key
        images = [self._image_dir / f"{id}{suffix}" for suffix in _SUFFIXES]
        image = next(filter(pathlib.Path.exists, images), images[0])
        return self._read_files(
            key, image_size, id, image, class_name=class_name
        )

    def _list_examples(self) -> dict[str, str]:
        """Pairs the ids of images with their classes."""
        without_captions = {
            path.stem: path
            for suffix in _SUFFIXES
            for path in self._image_dir.glob(f"image_*{suffix}")
        }
        class_of: dict[str, str] = {}
        for path in sorted(self._caption_dir.glob("class_*/image_*.txt")):
            if path.stem in class_of:
                reason = f"has captions in {class_of[path.stem]} already"
                self._leave_out(path, f"its image {reason}")
            elif path.stem not in without_captions:
                image = self._image_dir / f"{path.stem}.jpg"
                self._leave_out(path, f"has no image {image}")
            else:
                class_of[path.stem] = path.parent.name
                del without_captions[path.stem]
        for path in sorted(without_captions.values()):
            self._leave_out(path, f"has no captions in {self._caption_dir}")
        return class_of


def _find(source_dir: pathlib.Path, name: str) -> pathlib.Path:
    found = [source_dir / name, *sorted(source_dir.glob(f"*/{name}"))]
    found = [path for path in found if path.is_dir()]
    if len(found) != 1:
        raise ValueError(
            f"Expected one folder {name!r} in {source_dir} or in a folder of "
            f"it. Received: {[str(path) for path in found] or 'none'}. The "
            "layout is jpg/image_00001.jpg and "
            "text_c10/class_00001/image_06734.txt."
        )
    return found[0]
