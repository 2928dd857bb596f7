"""Features of a data set's images, of networks that have a name."""

import os
import pathlib
import sys
import time

from keras_t2i.applications.efficientnet_lite import IMAGE_NETWORKS
from keras_t2i.applications.feature_extraction import extract_image_features
from keras_t2i.progress import show_progress

_IMAGE_SIZE = 224
_NUM_VIEWS = 4


def network_features(name: str, data: str | os.PathLike) -> pathlib.Path:
    """Computes the features of a data set's images, unless that is done.

    Args:
        name: string. One of `IMAGE_NETWORKS`.
        data: path of a prepared data set, which they are kept in.

    Returns:
        path of the features, for `ImageFeatures`.

    Raises:
        ValueError: there is no such network, its weights are missing or
            damaged, or the data set is damaged.
        OSError: the features can not be written.
    """
    if name not in IMAGE_NETWORKS:
        raise ValueError(
            "The network of image features must be one of "
            f"{', '.join(IMAGE_NETWORKS)}. Received: {name!r}"
        )
    network = IMAGE_NETWORKS[name]()
    started = time.monotonic()
    num_done = 0

    with show_progress("Computing image features", "images") as progress:

        def on_progress(done, total):
            nonlocal num_done
            num_done = done
            progress(done, total)

        path = extract_image_features(
            network, data, _IMAGE_SIZE, _NUM_VIEWS, on_progress
        )
    if num_done:
        seconds = time.monotonic() - started
        print(
            f"image features: {seconds:.0f} s, kept in {path}", file=sys.stderr
        )
    return path
