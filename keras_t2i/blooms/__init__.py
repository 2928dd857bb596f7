"""Blooms: procedural captioned flowers that need no download."""

from keras_t2i.blooms.attributes import BACKGROUNDS
from keras_t2i.blooms.attributes import CENTER_COLORS
from keras_t2i.blooms.attributes import CLASS_NAMES
from keras_t2i.blooms.attributes import PETAL_COLORS
from keras_t2i.blooms.attributes import PETAL_COUNTS
from keras_t2i.blooms.attributes import PETAL_SHAPES
from keras_t2i.blooms.attributes import SPLITS
from keras_t2i.blooms.attributes import Content
from keras_t2i.blooms.attributes import Style
from keras_t2i.blooms.attributes import class_id
from keras_t2i.blooms.attributes import content_of_class
from keras_t2i.blooms.attributes import contents
from keras_t2i.blooms.attributes import random_style
from keras_t2i.blooms.reader import BloomReading
from keras_t2i.blooms.reader import read_bloom
from keras_t2i.blooms.rendering import Bloom
from keras_t2i.blooms.rendering import bloom_at
from keras_t2i.blooms.rendering import render_bloom
from keras_t2i.blooms.wording import bloom_captions
from keras_t2i.blooms.wording import captions_between
from keras_t2i.blooms.wording import content_of_caption

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
    "render_bloom",
    "random_style",
    "read_bloom",
    "captions_between",
]
