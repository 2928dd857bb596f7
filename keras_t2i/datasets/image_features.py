"""Features of images that another network has computed."""

import os
from collections.abc import Sequence

import numpy as np

from keras_t2i.datasets.arrays_by_id import ArraysById
from keras_t2i.datasets.arrays_by_id import match_names


class ImageFeatures:
    """The features of the images of a data set, all of them in memory.

    Args:
        path: path of what `ArraysById` reads: for each image an array of shape
            `(num_features,)` or, of several views such as crops,
            `(num_views, num_features)`, the center crop first.
        ids: list of strings. The images of the data set.

    Attributes:
        num_features: int.

    Raises:
        ValueError: the file is damaged, lacks images, or their arrays are not
            of one size.
    """

    def __init__(self, path: str | os.PathLike, ids: Sequence[str]):
        source = ArraysById(path)
        self._views = []
        for name in match_names(ids, source.names, path):
            views = np.atleast_2d(source.read(name))
            if self._views and views.shape[1] != self.num_features:
                raise ValueError(
                    f"{path} must hold as many features of each image. "
                    f"Received: {self.num_features} and, of {name!r}, "
                    f"{views.shape[1]}."
                )
            self.num_features = views.shape[1]
            self._views.append(views)

    def draw(self, index: int, generator: np.random.Generator) -> np.ndarray:
        """Returns a random view of one image, shape `(num_features,)`."""
        views = self._views[index]
        return views[generator.integers(len(views))]

    def first_views(self) -> np.ndarray:
        """Returns the first view of each image."""
        return np.stack([views[0] for views in self._views])
