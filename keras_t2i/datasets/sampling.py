"""What is in the batch of a step: images, captions and hard negatives."""

import functools
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_t2i.checks import check_whole_number
from keras_t2i.datasets.examples import Examples
from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import ImageFeatures
from keras_t2i.datasets.shards import CaptionedImage

# Without classes, another image may have the very same caption. After so many
# tries, all images that do not have it are listed.
_MAX_TRIES = 100
# Images whose texts are kept in memory to compare them, some kilobytes each.
_NUM_KEPT = 2**15


class ShuffledEpochs:
    """Every image once an epoch, in an order of its own each epoch.

    If there are fewer images than `batch_size`, they repeat within the batch.
    Images beyond the last whole batch of an epoch are left out.
    """

    def __init__(self, num_images: int, batch_size: int, seed: int):
        self.num_images = num_images
        # An int of Python: a small one of NumPy cannot count the steps.
        self.batch_size = batch_size = int(batch_size)
        self.seed = seed
        self.steps_per_epoch = max(1, num_images // batch_size)
        self._cached = (-1, np.arange(num_images))

    def indices(self, step: int) -> np.ndarray:
        """Returns the images of one step, shape `(batch_size,)`."""
        epoch, place = divmod(step, self.steps_per_epoch)
        cached_epoch, order = self._cached
        if epoch != cached_epoch:
            generator = np.random.default_rng([self.seed, epoch])
            order = generator.permutation(self.num_images)
            # One assignment: steps may be read by several threads.
            self._cached = (epoch, order)
        start = place * self.batch_size
        return np.resize(
            order[start : start + self.batch_size], self.batch_size
        )


class DistinctClasses:
    """Random images of each of as many random classes as fit the batch.

    `class_ids` are ints of shape `(num_images,)`. A batch is smaller than
    `batch_size` if there are too few classes, or if `images_per_class` does not
    divide it. The images of a class are different if the class has as many.
    """

    def __init__(
        self,
        class_ids: np.ndarray,
        batch_size: int,
        seed: int,
        images_per_class: int = 1,
    ):
        order = np.argsort(class_ids, kind="stable")
        starts = np.flatnonzero(np.diff(class_ids[order], prepend=-2))
        self._images_of_class = np.split(order, starts[1:])
        self._images_per_class = images_per_class
        self._num_classes = min(
            batch_size // images_per_class, len(self._images_of_class)
        )
        self.batch_size = self._num_classes * images_per_class
        self.seed = seed
        self.steps_per_epoch = max(1, len(class_ids) // self.batch_size)

    def indices(self, step: int) -> np.ndarray:
        """Returns the images of one step, shape `(batch_size,)`."""
        generator = np.random.default_rng([self.seed, step])
        chosen = generator.permutation(len(self._images_of_class))
        count = self._images_per_class
        shuffled = (
            generator.permutation(self._images_of_class[place])
            for place in chosen[: self._num_classes]
        )
        return np.concatenate(
            [np.resize(images[:count], count) for images in shuffled]
        )


class MismatchedTexts:
    """Samples images whose texts do not match given images.

    Candidates are sampled uniformly: with classes, from the images of all other
    classes; without them, from all other images that share no caption. Of
    several candidates, the one whose texts are most like the image's own is
    taken, by their embeddings. Such hard negatives differ in one thing only,
    which few random pairs do. Raises `ValueError` if there is only one class,
    only one image, or a caption that all images share.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), Algorithm 1.
    """

    def __init__(
        self,
        examples: Examples,
        embeddings: ExtractedEmbeddings | None = None,
        num_candidates: int = 1,
    ):
        self._examples = examples
        self._num_candidates = num_candidates
        if embeddings is not None:
            # To read a candidate takes longer than to compare it.
            self._direction = functools.lru_cache(_NUM_KEPT)(
                functools.partial(_mean_direction, embeddings)
            )
        self._class_ids = examples.class_ids
        if self._class_ids is None:
            if len(examples) < 2:
                raise ValueError(
                    "Mismatching texts need at least two images. Received: "
                    f"{len(examples)} image. Add images, or train without "
                    "mismatching texts: `--preset gan`."
                )
            self._number_captions()
            return
        classes, starts, counts = np.unique(
            np.sort(self._class_ids), return_index=True, return_counts=True
        )
        if len(classes) < 2:
            raise ValueError(
                "Mismatching texts come from other classes, so there must be "
                f"at least two. Received: one class only ({len(examples)} "
                "images). Add classes, or train without mismatching texts: "
                "`--preset gan`."
            )
        self._by_class = np.argsort(self._class_ids, kind="stable")
        self._span_of_class = dict(zip(classes, zip(starts, counts)))

    def sample(self, index: int, generator: np.random.Generator) -> int:
        """Returns the index of an image whose texts do not match `index`."""
        if self._num_candidates == 1:
            return self._sample_one(index, generator)
        candidates = [
            self._sample_one(index, generator)
            for _ in range(self._num_candidates)
        ]
        own = self._direction(index)
        likeness = [own @ self._direction(other) for other in candidates]
        return candidates[int(np.argmax(likeness))]

    def _sample_one(self, index: int, generator: np.random.Generator) -> int:
        if self._class_ids is None:
            return self._sample_without_classes(index, generator)
        start, count = self._span_of_class[self._class_ids[index]]
        # The images of its own class are one run in `_by_class`: skip it.
        place = generator.integers(len(self._by_class) - count)
        if place >= start:
            place += count
        return int(self._by_class[place])

    def _number_captions(self) -> None:
        """Gives each different caption a number, and keeps the numbers.

        Without them, each comparison would read two records. Captions that
        differ only in case, Unicode form and white space have one number.
        """
        number_of: dict[str, int] = {}
        numbers, counts = [], []
        for index in range(len(self._examples)):
            captions = self._examples.captions(index)
            counts.append(len(captions))
            for caption in captions:
                text = unicodedata.normalize("NFKC", caption).casefold()
                text = " ".join(text.split())
                numbers.append(number_of.setdefault(text, len(number_of)))
        self._captions = np.array(numbers)
        self._image_of_caption = np.repeat(np.arange(len(counts)), counts)
        # Found now, and not by the first batch of a training.
        most_used = np.bincount(self._captions).argmax()
        used_by = self._image_of_caption[self._captions == most_used]
        if len(np.unique(used_by)) == len(counts):
            raise _all_share_captions("images that all share one")
        self._ends = np.cumsum(counts)
        self._starts = self._ends - counts

    def _captions_of(self, index: int) -> np.ndarray:
        return self._captions[self._starts[index] : self._ends[index]]

    def _sample_without_classes(
        self, index: int, generator: np.random.Generator
    ) -> int:
        own = self._captions_of(index)
        own_captions = set(own.tolist())
        for _ in range(_MAX_TRIES):
            other = int(generator.integers(len(self._examples) - 1))
            other += other >= index
            if own_captions.isdisjoint(self._captions_of(other).tolist()):
                return other
        is_mismatch = np.ones(len(self._examples), bool)
        is_shared = np.isin(self._captions, own)
        is_mismatch[self._image_of_caption[is_shared]] = False
        if is_mismatch.any():
            return int(generator.choice(np.flatnonzero(is_mismatch)))
        raise _all_share_captions(
            f"image {index}, with which all others share a caption"
        )


def _all_share_captions(received: str) -> ValueError:
    return ValueError(
        "Mismatching texts need images with different captions. Received: "
        f"{received}. Give the images classes, or train without mismatching "
        "texts: `--preset gan` or, in Python, `mismatched=False`."
    )


def _mean_direction(embeddings: ExtractedEmbeddings, index: int) -> np.ndarray:
    # Of all texts of an image, since a single one may leave out what differs.
    mean = embeddings.read(index).mean(axis=0)
    return mean / max(np.linalg.norm(mean), np.finfo(np.float32).tiny)


class BatchReader:
    """Reads the rows of one step: encoded images, crops and texts."""

    def __init__(
        self,
        examples: Examples,
        order: ShuffledEpochs | DistinctClasses,
        *,
        augment: bool,
        mismatched: bool,
        embeddings: ExtractedEmbeddings | None = None,
        captions_per_image: int | Sequence[int] = 1,
        mismatch_candidates: int = 1,
        features: ImageFeatures | None = None,
        class_ids: np.ndarray | None = None,
    ):
        turns = (
            tuple(captions_per_image)
            if isinstance(captions_per_image, Sequence)
            else (captions_per_image,)
        )
        if not turns:
            raise ValueError(
                "`captions_per_image` must be a whole number, or a sequence "
                f"of at least one. Received: {captions_per_image!r}"
            )
        for number in turns:
            check_whole_number(number, "captions_per_image", at_least=1)
        check_whole_number(
            mismatch_candidates, "mismatch_candidates", at_least=1
        )
        if embeddings is None and turns != (1,):
            raise ValueError(
                "`captions_per_image` must be 1 without `text_embeddings`: "
                "texts have a mean only as embeddings. Received: "
                f"{captions_per_image}"
            )
        if embeddings is None and mismatch_candidates != 1:
            raise ValueError(
                "`mismatch_candidates` must be 1 without `text_embeddings`, by "
                f"which they are compared. Received: {mismatch_candidates}"
            )
        self.examples = examples
        self.order = order
        self.embeddings = embeddings
        self.features = features
        self.class_ids = class_ids
        self.mismatched_texts = (
            MismatchedTexts(examples, embeddings, mismatch_candidates)
            if mismatched
            else None
        )
        self._augment = augment
        self._caption_turns = turns

    def read(self, step: int) -> list[np.ndarray]:
        """Returns images, crops, one or two arrays of texts, and classes."""
        # A seed of three numbers differs from those of the orders, of two.
        generator = np.random.default_rng([self.order.seed, int(step), 1])
        images: list[Any] = []
        texts, mismatched_texts = [], []
        indices = self.order.indices(int(step))
        crops = np.full((len(indices), 3), 0.5, np.float32)
        if self._augment:
            crops[:] = generator.random(crops.shape)
        first_row = int(step) * len(indices)
        for row, index in enumerate(indices, first_row):
            num_captions = self._caption_turns[row % len(self._caption_turns)]
            example = self.examples.read(index)
            if self.features is None:
                images.append(example.image)
            else:
                images.append(self.features.sample(index, generator))
            texts.append(self._text(index, example, num_captions, generator))
            if self.mismatched_texts is not None:
                other = self.mismatched_texts.sample(index, generator)
                mismatched_texts.append(
                    self._text(other, None, num_captions, generator)
                )
        image_type = object if self.features is None else np.float32
        batch = [np.array(images, image_type), crops, self._stack(texts)]
        if mismatched_texts:
            batch.append(self._stack(mismatched_texts))
        if self.class_ids is not None:
            batch.append(self.class_ids[indices])
        return batch

    def _text(
        self,
        index: int,
        example: CaptionedImage | None,
        num_captions: int,
        generator: np.random.Generator,
    ) -> bytes | np.ndarray:
        if self.embeddings is None:
            example = example or self.examples.read(index)
            caption = generator.integers(len(example.captions))
            return example.captions[caption].encode("utf-8", "surrogatepass")
        embeddings = self.embeddings.read(index)
        chosen = generator.permutation(len(embeddings))
        return embeddings[chosen[:num_captions]].mean(axis=0)

    def _stack(self, texts: list) -> np.ndarray:
        return np.array(
            texts, object if self.embeddings is None else np.float32
        )
