"""Blooms: procedural captioned flowers that need no download."""

from keras_t2i.datasets.blooms.attributes import BACKGROUNDS
from keras_t2i.datasets.blooms.attributes import CENTER_COLORS
from keras_t2i.datasets.blooms.attributes import PETAL_COLORS
from keras_t2i.datasets.blooms.attributes import PETAL_COUNTS
from keras_t2i.datasets.blooms.attributes import PETAL_SHAPES
from keras_t2i.datasets.blooms.attributes import SPLITS
from keras_t2i.datasets.blooms.bloom import Bloom
from keras_t2i.datasets.blooms.bloom import bloom_at
from keras_t2i.datasets.blooms.captions import bloom_captions
from keras_t2i.datasets.blooms.captions import content_of_caption
from keras_t2i.datasets.blooms.content import CLASS_NAMES
from keras_t2i.datasets.blooms.content import Content
from keras_t2i.datasets.blooms.content import class_id
from keras_t2i.datasets.blooms.content import content_of_class
from keras_t2i.datasets.blooms.content import contents
from keras_t2i.datasets.blooms.drawing import draw_bloom
from keras_t2i.datasets.blooms.reader import BloomReading
from keras_t2i.datasets.blooms.reader import read_bloom
from keras_t2i.datasets.blooms.sentences_between import sentences_between
from keras_t2i.datasets.blooms.style import Style
from keras_t2i.datasets.blooms.style import random_style

__all__ = [
    "BACKGROUNDS",
    "Bloom",
    "BloomReading",
    "CENTER_COLORS",
    "CLASS_NAMES",
    "Content",
    "PETAL_COLORS",
    "PETAL_COUNTS",
    "PETAL_SHAPES",
    "SPLITS",
    "Style",
    "bloom_at",
    "bloom_captions",
    "class_id",
    "content_of_caption",
    "content_of_class",
    "contents",
    "draw_bloom",
    "random_style",
    "read_bloom",
    "sentences_between",
]
