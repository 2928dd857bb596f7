"""Raw captioned images to prepared data sets to batches."""

from keras_t2i.datasets import blooms
from keras_t2i.datasets.cub_key_points import cub_key_points
from keras_t2i.datasets.images import read_square
from keras_t2i.datasets.make_dataset import from_arrays
from keras_t2i.datasets.make_dataset import make_captions_dataset
from keras_t2i.datasets.make_dataset import make_dataset
from keras_t2i.datasets.make_dataset import make_ordered_dataset
from keras_t2i.datasets.make_dataset import make_pairs_dataset

__all__ = [
    "blooms",
    "cub_key_points",
    "from_arrays",
    "make_captions_dataset",
    "make_dataset",
    "make_ordered_dataset",
    "make_pairs_dataset",
    "read_square",
]
