"""The captions that images are generated from to be measured."""

import os

import numpy as np

from keras_t2i.datasets.examples import PreparedExamples

_SEED = 0


class EvaluationCaptions:
    """One caption of each image of a split, the same ones each time.

    Args:
        path: path. Folder of the prepared data set.
        split: string.

    Attributes:
        examples: `PreparedExamples` of the split.
        ids: list of strings, the ids of its images.
        captions: list of strings, one for each of them.

    Raises:
        ValueError: the data set is damaged, or has no such split.

    Example:

    >>> from keras_t2i.datasets.blooms_source import BloomsSource
    >>> from keras_t2i.datasets.preparation import prepare
    >>> folder = tempfile.mkdtemp()
    >>> _ = prepare(BloomsSource(num_images=10), folder, image_size=32)
    >>> chosen = keras_t2i.evaluation.EvaluationCaptions(folder, "test")
    >>> len(chosen.ids), len(chosen.captions)
    (1, 1)
    """

    def __init__(self, path: str | os.PathLike, split: str):
        self.path = path
        self.split = split
        self.examples = PreparedExamples(path, split)
        self.ids = self.examples.text_ids()
        generator = np.random.default_rng(_SEED)
        self.captions = []
        for index in range(len(self.examples)):
            captions = self.examples.read(index).captions
            self.captions.append(captions[generator.integers(len(captions))])

    def __len__(self) -> int:
        return len(self.captions)
