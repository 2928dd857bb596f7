"""Draws, for an image, the text of an image that it does not show."""

import numpy as np

from keras_t2i.datasets.examples import Examples

# Without classes, another image may bear the very same caption.
_MAX_DRAWS = 100


class MismatchedTexts:
    """Draws images whose texts do not match given images.

    With classes, uniformly among the images of all other classes; without
    them, among all other images that share no caption.

    Args:
        examples: `Examples`.

    Raises:
        ValueError: there is only one class, or only one image.

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), Algorithm 1.
    """

    def __init__(self, examples: Examples):
        self._examples = examples
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
        for _ in range(_MAX_DRAWS):
            other = int(generator.integers(len(self._examples) - 1))
            other += other >= index
            if own_captions.isdisjoint(self._examples.read(other).captions):
                return other
        raise ValueError(
            "Mismatching texts need images with different captions. Received: "
            f"{_MAX_DRAWS} images in a row that share a caption with image "
            f"{index}. Give the images classes, or train without mismatching "
            "texts: `--preset gan`."
        )
