"""Batches for training, as a function of seed and step."""

import weakref
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_t2i.checks import check_whole_number
from keras_t2i.datasets.examples import ArrayExamples
from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import ImageFeatures
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.images import to_model_range
from keras_t2i.datasets.sampling import BatchReader
from keras_t2i.datasets.sampling import DistinctClasses
from keras_t2i.datasets.sampling import ShuffledEpochs
from keras_t2i.tokenizers import tokenize
from keras_t2i.tokenizers import untuned
from keras_t2i.tokenizers import vocabulary_read_by
from keras_t2i.types import StrPath
from keras_t2i.types import Tensor

_TRAINING_SPLITS = ("train", "trainval")


def make_dataset(
    path: StrPath,
    split: str = "train",
    batch_size: int = 64,
    *,
    text_embeddings: StrPath | None = None,
    captions_per_image: int | Sequence[int] = 1,
    image_size: int | None = None,
    seed: int = 0,
    start_step: int | None = None,
    mismatched: bool = True,
    mismatch_candidates: int = 1,
    tokenize: Callable[[Tensor], Tensor] = tokenize,
) -> tf.data.Dataset:
    """Makes batches for a GAN from a prepared data set.

    The rows of a batch, their crops, flips and texts are a function of `seed`
    and the step, so a resumed training sees what it would have seen. The
    training splits are cropped at random and flipped with probability 1/2; the
    others are cropped at the center.

    Args:
        path: path. Folder that `keras-t2i prepare` wrote.
        split: string. A split of the data set, or `"trainval"` for `"train"`
            and `"val"` together. Defaults to `"train"`.
        batch_size: int. A data set smaller than a batch repeats. Images beyond
            the last whole batch of an epoch are left out, others each time.
            Defaults to `64`.
        text_embeddings: path. Folder that `keras_t2i.text.extract_embeddings`
            wrote for this data set. Without it the batches hold `token_ids`.
            Defaults to `None`.
        captions_per_image: int, or sequence of ints to take in turn, row by
            row. An image's text is the mean over the embeddings of this many
            of its captions, sampled without replacement. Defaults to `1`.
        image_size: int. Side of the images, which are resized if it differs
            from the data set's own. Defaults to `None`, the data set's own.
        seed: int, at least 0. Defaults to `0`.
        start_step: int. Makes the data set endless and starts it at this
            step. Defaults to `None`: one epoch, in a new order each time.
        mismatched: bool. Whether the batches hold a mismatching text, which
            needs at least two classes. Defaults to `True`.
        mismatch_candidates: int. More than one gives hard negatives: so many
            mismatching texts are sampled for an image, and the one closest to
            its own is taken, by the cosine of the mean embeddings. They need
            `text_embeddings`. Defaults to `1`, a uniform sample.
        tokenize: function of texts to token ids, such as the method `tokenize`
            of the text encoder. Defaults to `keras_t2i.text.tokenize`, for
            encoders of characters.

    Returns:
        `tf.data.Dataset` of dicts: `images`, float32 in [-1, 1] of shape
        `(batch_size, image_size, image_size, 3)`, and either
        `text_embeddings` and `mismatched_text_embeddings`, float32 of shape
        `(batch_size, embedding_dim)`, or `token_ids` and
        `mismatched_token_ids`, int32 of shape `(batch_size, 201)`. A
        mismatching text is one of an image of another class or, without
        classes, of another image that shares no caption.

    Raises:
        ValueError: the data set or the embeddings are damaged or do not fit
            each other, or an argument is out of range.
    """
    examples = PreparedExamples(path, split)
    embeddings = None
    if text_embeddings is not None:
        embeddings = ExtractedEmbeddings(text_embeddings, examples)
    check_whole_number(batch_size, "batch_size", at_least=1)
    check_whole_number(seed, "seed", at_least=0)
    return _make_stream(
        BatchReader(
            examples,
            ShuffledEpochs(len(examples), batch_size, seed),
            embeddings=embeddings,
            captions_per_image=captions_per_image,
            mismatched=mismatched,
            mismatch_candidates=mismatch_candidates,
            augment=split in _TRAINING_SPLITS,
        ),
        image_size,
        start_step,
        tokenize,
    )


def from_arrays(
    images: np.ndarray,
    captions: Sequence[Sequence[str]],
    class_ids: Sequence[int] | None = None,
    batch_size: int = 64,
    *,
    image_size: int | None = None,
    seed: int = 0,
    start_step: int | None = None,
    mismatched: bool = True,
    tokenize: Callable[[Tensor], Tensor] = tokenize,
) -> tf.data.Dataset:
    """Makes batches for a GAN from arrays in memory.

    Args:
        images: uint8 array of shape `(num_images, height, width, 3)`.
        captions: list of one list of strings per image.
        class_ids: ints, one per image. Defaults to `None`: a text mismatches
            every image but those that have it.
        batch_size: int. Defaults to `64`.
        image_size: int. A square of this side is cropped at random, and
            flipped by chance. Defaults to `None`: the shorter side of the
            images.
        seed: int, at least 0. Defaults to `0`.
        start_step: int or `None`, as in `make_dataset`.
        mismatched: bool, as in `make_dataset`.
        tokenize: function, as in `make_dataset`.

    Returns:
        `tf.data.Dataset` of the dicts of `make_dataset`, with `token_ids` and
        `mismatched_token_ids`.

    Raises:
        ValueError: the arrays do not fit each other, or an argument is out of
            range.

    Example:

    >>> images = np.zeros((4, 32, 32, 3), "uint8")
    >>> captions = [["a red flower"], ["a rose"], ["a blue one"], ["a tulip"]]
    >>> dataset = keras_t2i.datasets.from_arrays(images, captions, batch_size=2)
    >>> batch = next(iter(dataset))
    >>> batch["images"].shape, batch["token_ids"].shape
    (TensorShape([2, 32, 32, 3]), TensorShape([2, 201]))
    """
    check_whole_number(batch_size, "batch_size", at_least=1)
    check_whole_number(seed, "seed", at_least=0)
    try:
        images = np.asarray(images)
    except ValueError:
        raise ValueError(
            "`images` must be of one size, in an array of shape (num_images, "
            "height, width, 3). Received: images of several sizes. Resize "
            "them, or use `prepare`, which takes images of any size."
        ) from None
    if image_size is None:
        image_size = min(images.shape[1:3], default=0)
    check_whole_number(image_size, "image_size", at_least=0)
    # TensorFlow tells NumPy's whole numbers from Python's.
    image_size = int(image_size)
    examples = ArrayExamples(images, captions, class_ids, image_size)
    reader = BatchReader(
        examples,
        ShuffledEpochs(len(examples), batch_size, seed),
        mismatched=mismatched,
        augment=True,
    )
    return _make_stream(reader, image_size, start_step, tokenize)


def make_pairs_dataset(
    path: StrPath,
    split: str = "train",
    batch_size: int = 40,
    *,
    images_per_class: int = 1,
    image_features: StrPath | None = None,
    image_size: int | None = None,
    seed: int = 0,
    start_step: int | None = None,
    tokenize: Callable[[Tensor], Tensor] = tokenize,
) -> tf.data.Dataset:
    """Makes batches of several classes, to train a text encoder.

    Each row holds a random image and one of its captions. All classes of a
    batch have equally many images. Without classes, each image is a class of
    its own, and comes once in a batch at most.

    Args:
        path: path. Folder that `keras-t2i prepare` wrote.
        split: string, as in `make_dataset`. Defaults to `"train"`.
        batch_size: int. Fewer, if there are not `images_per_class` times as
            many classes. Defaults to `40`, as published.
        images_per_class: int. Images of a class in a batch, if there are
            classes. Defaults to `1`, as published.
        image_features: path of what `ImageFeatures` reads: features of all
            images, to use in place of the images. If there are several views,
            a random one is used. Defaults to `None`.
        image_size: int or `None`, as in `make_dataset`.
        seed: int, at least 0. Defaults to `0`.
        start_step: int or `None`, as in `make_dataset`.
        tokenize: function, as in `make_dataset`.

    Returns:
        `tf.data.Dataset` of dicts: `images`, float32 in [-1, 1] of shape
        `(batch, image_size, image_size, 3)`, or their features, `(batch,
        num_features)`; `token_ids`, int32 of shape `(batch, 201)`; and
        `class_ids`, int64 of shape `(batch,)`.

    Raises:
        ValueError: the data set is damaged, or an argument is out of range.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), section 3.
    """
    check_whole_number(images_per_class, "images_per_class", at_least=1)
    check_whole_number(batch_size, "batch_size", at_least=images_per_class)
    check_whole_number(seed, "seed", at_least=0)
    examples = PreparedExamples(path, split)
    order: ShuffledEpochs | DistinctClasses
    if examples.class_ids is None:
        class_ids = np.arange(len(examples))
        # An image that comes twice would be another text's match.
        batch_size = min(batch_size, len(examples))
        order = ShuffledEpochs(len(examples), batch_size, seed)
    else:
        class_ids = examples.class_ids
        order = DistinctClasses(class_ids, batch_size, seed, images_per_class)
    features = None
    if image_features is not None:
        features = ImageFeatures(image_features, path, split)
    reader = BatchReader(
        examples,
        order,
        mismatched=False,
        augment=split in _TRAINING_SPLITS,
        features=features,
        class_ids=class_ids,
    )
    return _make_stream(reader, image_size, start_step, tokenize)


def make_captions_dataset(
    path: StrPath,
    split: str = "train",
    batch_size: int = 64,
    *,
    seed: int = 0,
    start_step: int | None = None,
    tokenize: Callable[[Tensor], Tensor] = tokenize,
) -> tf.data.Dataset:
    """Makes batches of captions alone, to train a style encoder.

    Each row holds a random caption of a different image. Each image comes at
    most once per epoch. Those beyond the last whole batch are left out, other
    ones in each epoch.

    Args:
        path: path. Folder that `keras-t2i prepare` wrote.
        split: string, as in `make_dataset`. Defaults to `"train"`.
        batch_size: int. A data set smaller than a batch repeats. Defaults to
            `64`.
        seed: int, at least 0. Defaults to `0`.
        start_step: int or `None`, as in `make_dataset`.
        tokenize: function, as in `make_dataset`.

    Returns:
        `tf.data.Dataset` of dicts: `token_ids`, int32 of shape
        `(batch_size, 201)`.

    Raises:
        ValueError: the data set is damaged, or an argument is out of range.
    """
    check_whole_number(batch_size, "batch_size", at_least=1)
    check_whole_number(seed, "seed", at_least=0)
    examples = PreparedExamples(path, split)
    order = ShuffledEpochs(len(examples), batch_size, seed)
    reader = BatchReader(examples, order, augment=False, mismatched=False)
    return _make_stream(reader, None, start_step, tokenize, has_images=False)


def _while_kept(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns a function that calls a method as long as its object is there.

    TensorFlow keeps the function of `numpy_function` until the process ends.
    The data set alone keeps the reader, with its files and images.
    """
    method = weakref.WeakMethod(read)

    def read_now(step: Any) -> Any:
        kept = method()
        if kept is None:
            raise RuntimeError(
                "The data set of these batches no longer exists."
            )
        return kept(step)

    return read_now


def _make_stream(
    reader: BatchReader,
    image_size: int | None,
    start_step: int | None,
    tokenize: Callable[[Tensor], Tensor],
    has_images: bool = True,
) -> tf.data.Dataset:
    if image_size is None:
        image_size = reader.examples.image_size
    check_whole_number(image_size, "image_size", at_least=1)
    batch_size = reader.order.batch_size
    features, embeddings = reader.features, reader.embeddings
    image_type = tf.string if features is None else tf.float32
    text_type = tf.string if embeddings is None else tf.float32
    num_texts = 1 if reader.mismatched_texts is None else 2
    types = [image_type, tf.float32] + [text_type] * num_texts
    if reader.class_ids is not None:
        types.append(tf.int64)

    read_now = _while_kept(reader.read)

    def read(step: Tensor) -> list[Tensor]:
        return tf.numpy_function(read_now, [step], types, stateful=False)

    def decode(
        images: Tensor, crops: Tensor, *others: Tensor
    ) -> dict[str, Tensor]:
        batch = {}
        if features is not None:
            shape = (batch_size, features.num_features)
            batch["images"] = tf.ensure_shape(images, shape)
        elif has_images:
            images = tf.ensure_shape(images, (batch_size,))
            crop_size = reader.examples.image_size
            batch["images"] = _decoded(images, crops, crop_size, image_size)
        prefixes = ("", "mismatched_")[:num_texts]
        for prefix, text in zip(prefixes, others):
            if embeddings is None:
                text = tf.ensure_shape(text, (batch_size,))
                batch[prefix + "token_ids"] = tokenize(text)
            else:
                shape = (batch_size, embeddings.embedding_dim)
                text = tf.ensure_shape(text, shape)
                batch[prefix + "text_embeddings"] = text
        if reader.class_ids is not None:
            batch["class_ids"] = tf.ensure_shape(others[-1], (batch_size,))
        return batch

    steps = _steps(reader.order, start_step)
    dataset = steps.map(read).map(decode, num_parallel_calls=2)
    # Two batches ahead are enough, and bound the memory.
    dataset = untuned(dataset.prefetch(2))
    dataset.reader = reader
    if embeddings is None:
        # `fit` compares it with what the text encoder reads.
        dataset.vocabulary = vocabulary_read_by(tokenize)
    return dataset


def _steps(
    order: ShuffledEpochs | DistinctClasses, start_step: int | None
) -> tf.data.Dataset:
    if start_step is None:
        return _one_epoch_at_a_time(order.steps_per_epoch)
    check_whole_number(start_step, "start_step", at_least=0)
    return tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)


def _one_epoch_at_a_time(steps_per_epoch: int) -> tf.data.Dataset:
    epochs = iter(range(np.iinfo(np.int64).max))

    def steps_of_next_epoch(_: Tensor) -> tf.data.Dataset:
        epoch = tf.numpy_function(lambda: next(epochs), [], tf.int64)
        first = tf.ensure_shape(epoch, ()) * steps_per_epoch
        return tf.data.Dataset.range(first, first + steps_per_epoch)

    # Each iteration makes the outer element anew, and so takes the next epoch.
    steps = tf.data.Dataset.from_tensors(0).flat_map(steps_of_next_epoch)
    return steps.apply(tf.data.experimental.assert_cardinality(steps_per_epoch))


def _decoded(
    encoded: Tensor, crops: Tensor, crop_size: int, image_size: int
) -> Tensor:
    """Decodes and crops the images of a batch, to float32 in [-1, 1]."""
    images = tf.map_fn(
        lambda row: _crop(row[0], row[1], crop_size, image_size),
        (encoded, crops),
        fn_output_signature=tf.TensorSpec(
            (image_size, image_size, 3), tf.uint8
        ),
    )
    return to_model_range(images)


@tf.autograph.experimental.do_not_convert
def _crop(
    encoded: Tensor, crop: Tensor, crop_size: int, image_size: int
) -> Tensor:
    """Crops a square at `crop`: top, left and flip, as fractions."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    size = tf.shape(image)[:2]
    side = tf.minimum(crop_size, tf.reduce_min(size))
    room = tf.cast(size - side, tf.float32)
    # Offsets from 0 to room are equally likely.
    offset = tf.cast(crop[:2] * (room + 1.0), tf.int32)
    offset = tf.minimum(offset, size - side)
    image = tf.slice(
        image, tf.concat([offset, [0]], 0), tf.stack([side, side, 3])
    )
    if crop_size != image_size:
        resized = tf.image.resize(
            image, (image_size, image_size), antialias=True
        )
        image = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    # A center crop, all 0.5, is not flipped.
    image = tf.cond(
        crop[2] > 0.5, lambda: tf.reverse(image, [1]), lambda: image
    )
    return tf.ensure_shape(image, (image_size, image_size, 3))
