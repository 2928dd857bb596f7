"""The Oxford-102 flowers, with the captions of Reed et al. (2016)."""

import os
import pathlib

from keras_t2i.datasets.images import read_image
from keras_t2i.datasets.images import stored_side
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import UnusableFileError
from keras_t2i.datasets.source import read_captions
from keras_t2i.datasets.source import split_examples


class OxfordFlowers:
    """Oxford-102 flowers in their original layout.

    Read are `jpg/image_00001.jpg`, `text_c10/class_00001/image_06734.txt`
    with one caption a line, and class lists where they are there
    (`trainclasses.txt`, `valclasses.txt` and `testclasses.txt`, or
    `trainvalclasses.txt` instead of the first two). `jpg` and `text_c10` may
    lie in `source_dir` itself or in a folder of it, as the archives unpack,
    and the lists in `source_dir` or beside `text_c10`. A picture is of the
    class whose folder its captions lie in. Without lists, a tenth of the
    pictures is for testing.

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

    def __init__(self, source_dir: str | os.PathLike):
        source_dir = pathlib.Path(source_dir)
        if not source_dir.is_dir():
            raise ValueError(
                "Expected the folder of the Oxford-102 flowers. Received: "
                f"{str(source_dir)!r}, which is no folder."
            )
        self._image_dir = _find(source_dir, "jpg")
        self._caption_dir = _find(source_dir, "text_c10")
        self.unusable = []
        class_of = self._list_examples()
        if not class_of:
            raise ValueError(
                f"Expected images in {self._image_dir} with captions of the "
                f"same names in {self._caption_dir}/class_*. Received: none."
            )
        self.class_names = sorted(set(class_of.values()))
        splits = split_examples(class_of, source_dir, self._caption_dir.parent)
        self._splits = {
            split: [(class_of[id], id) for id in ids]
            for split, ids in splits.items()
        }

    def __getstate__(self):
        # Another process only reads. The whole listing would have it start
        # late, and be there once for each.
        return {**self.__dict__, "_splits": None, "unusable": None}

    def splits(self) -> dict[str, list[Key]]:
        """Returns the keys of each split."""
        return self._splits

    def read(self, key: Key, image_size: int) -> CaptionedImage:
        """Reads one picture with its captions."""
        class_name, id = key
        return CaptionedImage(
            id=id,
            image=read_image(
                self._image_dir / f"{id}.jpg", stored_side(image_size)
            ),
            captions=read_captions(
                self._caption_dir / class_name / f"{id}.txt"
            ),
            class_id=self.class_names.index(class_name),
        )

    def _list_examples(self):
        without_captions = {
            path.stem: path for path in self._image_dir.glob("image_*.jpg")
        }
        class_of = {}
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

    def _leave_out(self, path, reason):
        self.unusable.append(UnusableFileError(str(path), reason))


def _find(source_dir, name):
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
