"""Raw captioned images to prepared data sets to batches."""

from keras_t2i.datasets.batches import from_arrays
from keras_t2i.datasets.batches import make_captions_dataset
from keras_t2i.datasets.batches import make_dataset
from keras_t2i.datasets.batches import make_pairs_dataset
from keras_t2i.datasets.blooms_source import BloomsSource
from keras_t2i.datasets.coco_captions import CocoCaptions
from keras_t2i.datasets.cub_birds import CubBirds
from keras_t2i.datasets.cub_birds import cub_key_points
from keras_t2i.datasets.folder import CaptionedFolder
from keras_t2i.datasets.images import read_square
from keras_t2i.datasets.oxford_flowers import OxfordFlowers
from keras_t2i.datasets.preparation import Preparation
from keras_t2i.datasets.preparation import prepare
from keras_t2i.datasets.source import SeveralSources

__all__ = [
    "BloomsSource",
    "CaptionedFolder",
    "CocoCaptions",
    "CubBirds",
    "OxfordFlowers",
    "Preparation",
    "SeveralSources",
    "cub_key_points",
    "from_arrays",
    "make_captions_dataset",
    "make_dataset",
    "make_pairs_dataset",
    "prepare",
    "read_square",
]
