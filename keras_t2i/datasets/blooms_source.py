"""The procedural `blooms` as raw data to prepare."""

import re

from keras_t2i.blooms import CLASS_NAMES
from keras_t2i.blooms import Bloom
from keras_t2i.blooms import bloom_at
from keras_t2i.checks import check_whole_number
from keras_t2i.datasets.images import encode_png
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.source import Key
from keras_t2i.datasets.source import Source


class BloomsSource(Source):
    """Rendered flowers with captions: 80% `train`, 10% `val`, 10% `test`.

    Args:
        num_images: int. At least 10, so that no split is empty.
        seed: int. Other seeds give other flowers. Defaults to `0`.

    Raises:
        ValueError: an argument is no whole number, or too small.

    Example:

    >>> from keras_t2i.datasets.blooms_source import BloomsSource
    >>> blooms = BloomsSource(num_images=10)
    >>> record = blooms.read(blooms.splits()["val"][0], image_size=64)
    >>> record.id
    'val-000000'
    """

    name = "blooms"

    def __init__(self, num_images: int, seed: int = 0):
        # Now, and not when `prepare` has begun to write.
        check_whole_number(seed, "seed", at_least=0)
        # So many that no split is empty.
        check_whole_number(num_images, "num_images", at_least=10)
        super().__init__()
        self.class_names = list(CLASS_NAMES)
        rest = num_images // 10
        sizes = {"train": num_images - 2 * rest, "val": rest, "test": rest}
        for split, size in sizes.items():
            # Keys are JSON values, which NumPy's integers are not.
            self._splits[split] = [(split, i, int(seed)) for i in range(size)]

    def read(self, key: Key, image_size: int) -> CaptionedImage:
        """Renders one flower."""
        split, index, seed = key
        bloom = bloom_at(split, index, seed=seed, image_size=image_size)
        return CaptionedImage(
            id=f"{split}-{index:06d}",
            image=encode_png(bloom.image),
            captions=tuple(bloom.captions),
            class_id=bloom.class_id,
        )


def bloom_of_record(record: CaptionedImage, seed: int = 0) -> Bloom:
    """Returns the bloom that a prepared record was made of.

    Its image has 64 x 64 pixels, whatever size the record has. Raises
    `ValueError` if `BloomsSource` has not made the record with this seed.
    """
    match = re.fullmatch(r"(train|val|test)-(\d{6,9})", record.id)
    if match is not None:
        bloom = bloom_at(match[1], int(match[2]), seed=seed)
        if bloom.captions == record.captions:
            return bloom
    raise ValueError(
        f"`record` must be a bloom, prepared with the seed {seed}. Received: "
        f"{record.id!r} with the caption {record.captions[0]!r}. Name the seed "
        "that the data set was prepared with."
    )
