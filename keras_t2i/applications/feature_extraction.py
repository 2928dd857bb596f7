"""Features of all images of a data set, computed once and kept beside it."""

import hashlib
import io
import pathlib
from collections.abc import Callable
from collections.abc import Iterator

import keras
import numpy as np
from PIL import Image

from keras_t2i.datasets.images import model_square
from keras_t2i.datasets.images import to_model_range
from keras_t2i.datasets.manifest import MANIFEST_FILE
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.datasets.shards import write_embeddings
from keras_t2i.datasets.source import CaptionedImage
from keras_t2i.files import locked_folder
from keras_t2i.files import make_folder
from keras_t2i.types import StrPath

# Views at a time.
_BATCH_SIZE = 32
_CORNER_SHARE = 7 / 8


def center_view(image: Image.Image) -> list[Image.Image]:
    """Cuts out the central square."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    return [image.crop((left, top, left + side, top + side))]


def four_views(image: Image.Image) -> list[Image.Image]:
    """Cuts out the central square and a corner, each also flipped.

    The corner is the upper left one, with 7/8 of the shorter side. The central
    square comes first.
    """
    side = round(_CORNER_SHARE * min(image.size))
    views = [*center_view(image), image.crop((0, 0, side, side))]
    flipped = [
        view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for view in views
    ]
    return views + flipped


_VIEWS = {1: center_view, 4: four_views}


def extract_image_features(
    network: keras.Model,
    data_path: StrPath,
    image_size: int = 224,
    num_views: int = 1,
    progress: Callable[[int, int], None] | None = None,
    model_image_size: int | None = None,
    network_sha256: str | None = None,
) -> pathlib.Path:
    """Computes the features of a data set's images, unless they exist.

    Args:
        network: `keras.Model` from images in [-1, 1] to a feature map, of
            which the mean is taken, or to a vector.
        data_path: path of a folder written by `keras-t2i prepare`.
        image_size: int. Pixels to which a view is resized, bicubic and
            antialiased.
        num_views: int. 1 for the central square of an image. 4 for this
            square and a corner, each also flipped.
        progress: function of two ints, the numbers of images done and of all
            images, to show how far it is.
        model_image_size: int. Defaults to `None`: views are of whole images.
            Else they are of what a model for images of this size sees.
        network_sha256: string that identifies the network. Defaults to `None`:
            its weights do.

    Returns:
        Path of the folder of features, for `make_pairs_dataset`. It is in that
        of the data set, where the next call with the same network finds it.

    Raises:
        ValueError: the data set is damaged, nobody may write to its folder,
            `num_views` has another value, or the network returns NaN.
        OSError: the features cannot be written.
    """
    if num_views not in _VIEWS:
        raise ValueError(
            f"`num_views` must be one of {sorted(_VIEWS)}. Received: "
            f"{num_views!r}"
        )
    data_path = pathlib.Path(data_path)
    manifest = read_manifest(data_path)
    fingerprint = _fingerprint(
        manifest,
        network,
        image_size,
        num_views,
        model_image_size,
        network_sha256,
    )

    def read(encoded: bytes) -> Image.Image:
        if model_image_size is None:
            with Image.open(io.BytesIO(encoded)) as image:
                return image.convert("RGB")
        sizes = manifest.image_size, model_image_size
        return Image.fromarray(model_square(encoded, *sizes))

    def rows_of(examples: list[CaptionedImage]) -> Iterator[np.ndarray]:
        num_images = max(1, _BATCH_SIZE // num_views)
        for start in range(0, len(examples), num_images):
            views = [
                _resized(view, image_size)
                for example in examples[start : start + num_images]
                for view in _VIEWS[num_views](read(example.image))
            ]
            features = features_of_images(network, np.stack(views))
            yield from features.reshape(-1, num_views, features.shape[-1])

    path = data_path / f"features-{network.name}-{fingerprint[:12]}"
    if _is_whole(path, fingerprint):
        return path
    make_folder(
        path,
        "Features of images are kept in the folder of the data set, which must "
        f"be writable. Received: {str(data_path)!r}, which cannot be written. "
        "Allow it, or copy the data set to another folder.",
    )
    # Another process may be computing them.
    with locked_folder(path):
        if _is_whole(path, fingerprint):
            return path
        write_embeddings(
            data_path, path, rows_of, lambda: fingerprint, progress
        )
    return path


def features_of_images(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """Computes the features of images, the mean over the last feature map.

    `network` maps images in [-1, 1] to a feature map or to a vector. `images`
    are uint8 of shape `(num_images, size, size, 3)`, the features are float32
    of shape `(num_images, num_features)`. Raises `ValueError` if the network
    returns NaN or infinities.
    """
    features = network.predict_on_batch(to_model_range(images))
    if features.ndim > 2:
        features = features.mean(axis=(1, 2))
    if not np.isfinite(features).all():
        raise ValueError(
            "The network must return finite features. Received: NaN or "
            f"infinity from {network.name!r}. Use other weights."
        )
    return features


def resized(images: np.ndarray, image_size: int) -> np.ndarray:
    """Resizes uint8 images for a network, bicubic and antialiased."""
    if images.shape[1:3] == (image_size, image_size):
        return images
    return np.stack([_resized(Image.fromarray(i), image_size) for i in images])


def _resized(image: Image.Image, image_size: int) -> np.ndarray:
    size = (image_size, image_size)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def _is_whole(path: pathlib.Path, fingerprint: str) -> bool:
    is_there = (path / MANIFEST_FILE).is_file()
    return is_there and read_embedding_manifest(path).fingerprint == fingerprint


def _fingerprint(
    manifest: Manifest,
    network: keras.Model,
    image_size: int,
    num_views: int,
    model_image_size: int | None,
    network_sha256: str | None,
) -> str:
    digest = hashlib.sha256(data_fingerprint(manifest).encode())
    digest.update(f"{image_size} {num_views}".encode())
    if len(network.output_shape) == 2:
        # Networks of the same weights can return different vectors.
        digest.update(f" vector of {network.output_shape[-1]}".encode())
    if model_image_size is not None:
        digest.update(f" of {model_image_size}".encode())
    if network_sha256 is not None:
        digest.update(network_sha256.encode())
        return digest.hexdigest()
    for weight in network.get_weights():
        digest.update(weight.tobytes())
    return digest.hexdigest()
