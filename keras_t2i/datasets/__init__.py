"""Raw captioned images to prepared data sets to batches."""

from keras_t2i.datasets.batches import from_arrays
from keras_t2i.datasets.batches import make_captions_dataset
from keras_t2i.datasets.batches import make_dataset
from keras_t2i.datasets.batches import make_ordered_dataset
from keras_t2i.datasets.batches import make_pairs_dataset
from keras_t2i.datasets.cub_birds import cub_key_points
from keras_t2i.datasets.images import read_square

__all__ = [
    "cub_key_points",
    "from_arrays",
    "make_captions_dataset",
    "make_dataset",
    "make_ordered_dataset",
    "make_pairs_dataset",
    "read_square",
]
