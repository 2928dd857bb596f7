"""Features of images that another network has computed."""

import os
import pathlib

import numpy as np

from keras_t2i.datasets.arrays_by_id import match_names
from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.examples import images_of_class
from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.text.published_embeddings import open_published_embeddings


class ImageFeatures:
    """The features of the images of a split, all of them in memory.

    Args:
        path: path of the folder that `extract_image_features` wrote, or of
            what `open_published_embeddings` reads: for each image an
            array of shape `(num_features,)` or, of several views such as
            crops, `(num_views, num_features)`, the center crop first. A `.t7`
            file of a class, as the encoder's authors gave them, holds
            `(num_images, num_features, num_views)`.
        data_path: path. Folder of the prepared data set.
        split: string.

    Attributes:
        num_features: int.

    Raises:
        ValueError: the file is damaged, lacks images, or their arrays are not
            of one size; or the data set is damaged.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        data_path: str | os.PathLike,
        split: str,
    ):
        if (pathlib.Path(path) / MANIFEST_FILE).is_file():
            extracted = ExtractedEmbeddings(
                path, PreparedExamples(data_path, split)
            )
            self.num_features = extracted.embedding_dim
            self._views = [extracted.read(i) for i in range(len(extracted))]
            return
        ids = PreparedExamples(data_path, split).text_ids()
        all_examples = (
            PreparedExamples(data_path, name)
            for name in read_manifest(data_path).splits
        )
        source = open_published_embeddings(path, images_of_class(all_examples))
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
