"""Images with captions, read one at a time, with embeddings or features."""

import hashlib
import pathlib
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_t2i.captions import check_captions
from keras_t2i.datasets.images import encode_png
from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.published_embeddings import match_names
from keras_t2i.datasets.published_embeddings import open_published_embeddings
from keras_t2i.datasets.shards import CaptionedImage
from keras_t2i.datasets.shards import EmbeddedCaptions
from keras_t2i.datasets.shards import ShardReader
from keras_t2i.types import StrPath


class PreparedExamples:
    """The images of one split of a prepared data set.

    `class_ids` are ints of shape `(num_images,)`, or `None` without classes.
    `image_size` is the side of the square crops, before any resizing. The split
    `"trainval"` joins `"train"` and `"val"`. Raises `ValueError` if the folder
    is no prepared data set, is damaged, or has no such split.
    """

    def __init__(self, path: StrPath, split: str):
        manifest = read_manifest(path)
        self.image_size = manifest.image_size
        self.fingerprint = data_fingerprint(manifest)
        self.splits = _joined_splits(split, manifest.splits, path)
        self._shards = ShardReader(
            path,
            [
                shard
                for name in self.splits
                for shard in manifest.splits[name].shards
            ],
            {"class_id": tf.int64, "id": tf.string},
        )
        self.ids = self._shards.columns["id"]
        self.class_names = manifest.class_names
        self.class_ids = (
            self._shards.columns["class_id"] if self.class_names else None
        )

    def __len__(self) -> int:
        return len(self._shards)

    def text_ids(self) -> list[str]:
        """Returns the images' ids as strings."""
        return [id.decode("utf-8") for id in self.ids]

    def read(self, index: int) -> CaptionedImage:
        """Returns one image with its captions."""
        return CaptionedImage.parse(self._shards.read(index))

    def captions(self, index: int) -> tuple[str, ...]:
        """Returns the captions of one image."""
        return self.read(index).captions


def images_of_class(
    all_examples: Iterable[PreparedExamples],
) -> dict[str, list[str]]:
    """Returns the sorted ids of each class, from the examples of all splits.

    Without classes, the dict is empty.
    """
    images: dict[str, list[str]] = {}
    for examples in all_examples:
        if examples.class_ids is not None:
            for class_id, id in zip(examples.class_ids, examples.text_ids()):
                name = examples.class_names[class_id]
                images.setdefault(name, []).append(id)
    return {name: sorted(ids) for name, ids in images.items()}


class ExtractedEmbeddings:
    """The embeddings of `PreparedExamples`, from a folder of embeddings.

    Raises `ValueError` if the folder is damaged or belongs to another data set.
    """

    def __init__(self, path: StrPath, examples: PreparedExamples):
        manifest = read_embedding_manifest(path)
        missing = sorted(set(examples.splits) - manifest.splits.keys())
        if missing:
            raise ValueError(
                f"{path} must hold embeddings of the splits {examples.splits}. "
                f"Received: none of {missing}. Extract them again."
            )
        self.embedding_dim = manifest.embedding_dim
        self._shards = ShardReader(
            path,
            [
                shard
                for name in examples.splits
                for shard in manifest.splits[name].shards
            ],
        )
        # Images of the same ids may have other captions.
        if (
            manifest.data_fingerprint != examples.fingerprint
            or not np.array_equal(self._shards.columns["id"], examples.ids)
        ):
            raise ValueError(
                f"{path} must hold the embeddings of this data set's captions, "
                f"in their order ({len(examples)} images). Received: those of "
                f"another data set ({len(self._shards)} images). Extract them "
                "again from this data set."
            )

    def __len__(self) -> int:
        return len(self._shards)

    def read(self, index: int) -> np.ndarray:
        """Returns float32 of shape `(num_captions, embedding_dim)`."""
        return EmbeddedCaptions.parse(self._shards.read(index)).embeddings


class ArrayExamples:
    """`PreparedExamples` in memory, of the arguments of `from_arrays`.

    Raises `ValueError` if images, captions and classes do not fit each other.
    """

    def __init__(
        self,
        images: np.ndarray,
        captions: Sequence[Sequence[str]],
        class_ids: Sequence[int] | None,
        image_size: int,
    ):
        images = np.asarray(images)
        is_rgb = images.ndim == 4 and images.shape[-1] == 3
        if images.dtype != np.uint8 or not is_rgb:
            raise ValueError(
                "`images` must be uint8 of shape (num_images, height, width, "
                f"3). Received: {images.dtype} of shape {images.shape}"
            )
        if image_size > min(images.shape[1:3]):
            raise ValueError(
                f"`images` must have sides of at least {image_size} pixels, "
                f"the `image_size`. Received: {images.shape[1]} x "
                f"{images.shape[2]} pixels"
            )
        is_list = isinstance(captions, Sequence | np.ndarray)
        num_lists = len(captions) if is_list else 0
        if len(images) != num_lists or num_lists == 0:
            raise ValueError(
                "`captions` must hold one list of captions per image, and at "
                f"least one. Received: {len(images)} images and {num_lists} "
                "lists of captions"
            )
        for index, texts in enumerate(captions):
            is_list = isinstance(texts, Sequence | np.ndarray)
            if (
                not is_list
                or isinstance(texts, str)
                or not len(texts)
                or not all(isinstance(text, str) for text in texts)
            ):
                raise ValueError(
                    "Each entry of `captions` must be a list of at least one "
                    f"string. Received: {texts!r:.200} for image {index}"
                )
            check_captions(texts, f" for image {index}")
        self._images = images
        self._captions = [tuple(texts) for texts in captions]
        self.image_size = image_size
        self.class_ids = None
        if class_ids is not None:
            given = np.asarray(class_ids)
            is_whole = np.issubdtype(given.dtype, np.integer)
            if given.shape != (len(images),) or not is_whole:
                raise ValueError(
                    "`class_ids` must hold one int per image, of shape "
                    f"({len(images)},). Received: {given.dtype} of shape "
                    f"{given.shape}"
                )
            self.class_ids = given.astype(np.int64)

    def __len__(self) -> int:
        return len(self._images)

    def read(self, index: int) -> CaptionedImage:
        """Returns one image, as an uncompressed PNG, with its captions."""
        # A PNG, as prepared data sets have: one path through the other code.
        encoded = encode_png(self._images[index], compress_level=0)
        return CaptionedImage(str(index), encoded, self._captions[index])

    def captions(self, index: int) -> tuple[str, ...]:
        """Returns the captions of one image."""
        return self._captions[index]


Examples = PreparedExamples | ArrayExamples


def _joined_splits(
    split: str, splits: Mapping[str, object], path: StrPath
) -> list[str]:
    if split == "trainval" and "trainval" not in splits:
        # A data set without a validation split trains on "train" alone.
        names = [name for name in ("train", "val") if name in splits]
        names = names if "train" in names else []
    else:
        names = [name for name in splits if name == split]
    if not names:
        known = {*splits, "trainval"} if "train" in splits else splits
        raise ValueError(
            f"`split` must be one of {sorted(known)} for "
            f"{pathlib.Path(path)}. Received: {split!r}"
        )
    return names


class ImageFeatures:
    """The features of the images of a split, all of them in memory.

    `path` is the folder that `extract_image_features` wrote, or what
    `open_published_embeddings` reads: for each image an array of shape
    `(num_features,)` or, for several views such as crops, `(num_views,
    num_features)`, the center crop first. The `.t7` file of a class holds
    `(num_images, num_features, num_views)`. Raises `ValueError` if the file or
    the data set is damaged, lacks images, or has arrays of several sizes.
    """

    def __init__(self, path: StrPath, data_path: StrPath, split: str):
        examples = PreparedExamples(data_path, split)
        if (pathlib.Path(path) / MANIFEST_FILE).is_file():
            extracted = ExtractedEmbeddings(path, examples)
            self.num_features = extracted.embedding_dim
            self._views = [extracted.read(i) for i in range(len(extracted))]
            return
        all_examples = (
            PreparedExamples(data_path, name)
            for name in read_manifest(data_path).splits
        )
        source = open_published_embeddings(path, images_of_class(all_examples))
        self._views = []
        for name in match_names(examples.text_ids(), source.names, path):
            views = np.atleast_2d(source.read(name))
            if self._views and views.shape[1] != self.num_features:
                raise ValueError(
                    f"{path} must hold the same number of features per image. "
                    f"Received: {self.num_features} and, of {name!r}, "
                    f"{views.shape[1]}."
                )
            self.num_features = views.shape[1]
            self._views.append(views)

    def sample(self, index: int, generator: np.random.Generator) -> np.ndarray:
        """Returns a random view of one image, shape `(num_features,)`."""
        views = self._views[index]
        return views[generator.integers(len(views))]

    def digest(self) -> str:
        """Returns a digest, in hexadecimal, of all views."""
        digest = hashlib.sha256()
        for views in self._views:
            digest.update(np.ascontiguousarray(views, np.float32).tobytes())
        return digest.hexdigest()

    def first_views(self) -> np.ndarray:
        """Returns the first view of each image."""
        return np.stack([views[0] for views in self._views])
