"""Draws, for an image, the text of an image that it does not show."""

import numpy as np

from keras_t2i.datasets.examples import Examples
from keras_t2i.datasets.examples import ExtractedEmbeddings

# Without classes, another image may bear the very same caption. After so many
# of them, all that do not are looked for.
_MAX_DRAWS = 100


class MismatchedTexts:
    """Draws images whose texts do not match given images.

    With classes, uniformly among the images of all other classes; without
    them, among all other images that share no caption. Of several candidates
    drawn so, the one whose texts are most like the image's own is taken: what
    differs in one thing only teaches what few random pairs do.

    Args:
        examples: `Examples`.
        embeddings: `ExtractedEmbeddings` of the examples. Needed for more than
            one candidate. Defaults to `None`.
        num_candidates: int, at least 1. Defaults to `1`.

    Raises:
        ValueError: there is only one class, or only one image.

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
        self._embeddings = embeddings
        self._num_candidates = num_candidates
        self._class_ids = examples.class_ids
        if self._class_ids is None:
            if len(examples) < 2:
                raise ValueError(
                    "Mismatching texts need at least two images. Received: "
                    f"{len(examples)} image. Add images, or train without "
                    "mismatching texts: `--preset gan`."
                )
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

    def draw(self, index: int, generator: np.random.Generator) -> int:
        """Returns the index of an image whose texts do not match `index`."""
        if self._num_candidates == 1:
            return self._draw_one(index, generator)
        candidates = [
            self._draw_one(index, generator)
            for _ in range(self._num_candidates)
        ]
        # Of all texts of an image: a single one may leave out what differs.
        own = self._mean_direction(index)
        return max(
            candidates, key=lambda other: own @ self._mean_direction(other)
        )

    def _mean_direction(self, index):
        mean = self._embeddings.read(index).mean(axis=0)
        return mean / max(np.linalg.norm(mean), np.finfo(np.float32).tiny)

    def _draw_one(self, index, generator):
        if self._class_ids is None:
            return self._draw_without_classes(index, generator)
        start, count = self._span_of_class[self._class_ids[index]]
        # The images of the own class are one run in `_by_class`: step over it.
        place = generator.integers(len(self._by_class) - count)
        if place >= start:
            place += count
        return int(self._by_class[place])

    def _draw_without_classes(self, index, generator):
        own_captions = set(self._examples.read(index).captions)

        def matches_not(other):
            return own_captions.isdisjoint(self._examples.read(other).captions)

        for _ in range(_MAX_DRAWS):
            other = int(generator.integers(len(self._examples) - 1))
            other += other >= index
            if matches_not(other):
                return other
        others = list(filter(matches_not, range(len(self._examples))))
        if others:
            return int(generator.choice(others))
        raise ValueError(
            "Mismatching texts need images with different captions. Received: "
            f"image {index}, with which all others share a caption. Give the "
            "images classes, or train without mismatching texts: "
            "`--preset gan`."
        )
