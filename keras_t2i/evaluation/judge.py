"""The network whose features images are compared by, and its independence."""

import hashlib
import json
import os
import pathlib
import re

import keras
import numpy as np

from keras_t2i.applications.efficientnet_lite import IMAGE_NETWORKS
from keras_t2i.applications.feature_extraction import features_of_images
from keras_t2i.applications.feature_extraction import resized
from keras_t2i.applications.feature_networks import check_finite_weights
from keras_t2i.applications.feature_networks import image_network

DEFAULT_JUDGE = "efficientnet_lite2"
# Of networks that take images of any size.
_IMAGE_SIZE = 224


class Judge:
    """Turns images into features, all of them in the same way.

    Images are resized to the network's size, bicubic and antialiased.

    Args:
        network: `keras.Model` from images in [-1, 1] of shape
            `(batch, size, size, 3)` to a feature map, of which the mean is
            taken, or to a vector. Where it takes any size, it gets 224 pixels.
        sha256: string. Tells the network from others. Defaults to `None`: a
            digest of its layers and weights.
        published_name: string. The name under which its weights are
            published, `None` for any others. Defaults to `None`.

    Attributes:
        name: string. That of the network.
        known_as: set of strings. The names under which a model may have been
            trained with this network.
        image_size: int. Side in pixels of the images that it gets.
        resizer: string.

    Raises:
        ValueError: the network has other inputs or outputs, or weights that
            are not finite.

    Example:

    >>> network = keras.Sequential(
    ...     [keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3)], name="mine"
    ... )
    >>> judge = keras_t2i.evaluation.Judge(network)
    >>> judge.features(np.zeros((2, 64, 64, 3), "uint8")).shape
    (2, 8)
    """

    resizer = "bicubic, antialiased (Pillow)"

    def __init__(self, network, sha256=None, published_name=None):
        self.name = published_name or network.name
        self.published_name = published_name
        self.known_as = {self.name}
        for name, kind in IMAGE_NETWORKS.items():
            if type(network) is kind:
                self.known_as.add(name)
        self.image_size = _checked_image_size(network)
        check_finite_weights(network, self.name)
        self.network = network
        self.sha256 = sha256
        if sha256 is None:
            about = published_name or _architecture(network)
            self.sha256 = _digest(network, about)

    def features(self, images):
        """Computes the features of images.

        Args:
            images: uint8 array of shape `(num_images, size, size, 3)`.

        Returns:
            float32 array of shape `(num_images, num_features)`.

        Raises:
            ValueError: the network returns NaN or infinities.
        """
        return features_of_images(
            self.network, resized(images, self.image_size)
        )


def load_judge(name_or_file: str | os.PathLike = DEFAULT_JUDGE) -> Judge:
    """Makes the judge of a name, or loads it from a file.

    Args:
        name_or_file: `"efficientnet_lite2"`, `"efficientnet_lite0"`, the name
            of a network of `keras.applications`, whose weights Keras downloads
            or has, or the path of a .keras file. Defaults to
            `"efficientnet_lite2"`.

    Returns:
        `Judge`. Its `sha256` is that of the file or, of a name, that of the
        name and the weights.

    Raises:
        ValueError: there is no such network or file, or it can be no judge.
        OSError: the file cannot be read.

    Example:

    >>> from keras_t2i.evaluation import load_judge
    >>> judge = load_judge("efficientnet_lite0")
    >>> judge.features(np.zeros((1, 64, 64, 3), "uint8")).shape
    (1, 1280)
    """
    path = pathlib.Path(name_or_file)
    if path.suffix != ".keras" and not path.exists():
        name = str(name_or_file)
        network = image_network(name, _IMAGE_SIZE)
        return Judge(network, published_name=name)
    if not path.is_file():
        raise ValueError(
            "The judge must be the name of a network or a .keras file. "
            f"Received: {str(path)!r}, which is no file."
        )
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        network = keras.saving.load_model(path, compile=False)
    # Keras raises errors of many kinds for files that are no models.
    except Exception as error:
        first_line = (str(error).strip() or repr(error)).splitlines()[0]
        raise ValueError(
            "The judge must be the name of a network or a .keras file. "
            f"Received: {str(path)!r}, which cannot be loaded: "
            f"{first_line:.200}"
        ) from error
    return Judge(network, sha256)


def _checked_image_size(network):
    inputs = getattr(network, "inputs", None) or []
    outputs = getattr(network, "outputs", None) or []
    shapes = [tuple(tensor.shape) for tensor in (*inputs, *outputs)]
    right = len(inputs) == len(outputs) == 1
    if right:
        (_, *sides, channels), (_, *map_sides, num_features) = shapes
        right = (
            len(sides) == 2
            and sides[0] == sides[1]
            and channels == 3
            and len(map_sides) in (0, 2)
            and num_features is not None
        )
    if not right:
        raise ValueError(
            "A judge must be a network from images of shape (size, size, 3) to "
            "a feature map or a vector. Received: "
            f"{network.name!r}, with inputs and outputs of shapes "
            f"{shapes or 'that are not known'}."
        )
    return sides[0] or _IMAGE_SIZE


def _architecture(network):
    config = json.dumps(network.get_config(), sort_keys=True, default=str)
    # Keras numbers the layers that it names, through a whole process.
    config = re.sub(r'_\d+"', '"', config)
    return f"{type(network).__name__} {config}"


def _digest(network, about):
    digest = hashlib.sha256(about.encode())
    for weight in network.get_weights():
        digest.update(f"{weight.shape} {weight.dtype}".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def check_independence(images, judge, caption_match=None):
    """Raises `ValueError` where what judges has trained what is judged.

    A model learns to please the networks that it is trained with: what these
    say of its images is too good.

    Args:
        images: `ModelImages` or `FolderImages`.
        judge: `Judge`.
        caption_match: `CaptionMatch`. Defaults to `None`.

    Raises:
        ValueError: the judge, or the network of the text encoder's image side,
            has trained the model, or the text encoder is the model's own.
    """
    if judge.known_as & images.trained_with:
        raise ValueError(
            "A model must be judged by a network that it was not trained with. "
            f"Received: {judge.name!r}, and a model trained with "
            f"{', '.join(sorted(images.trained_with))}. Name another network."
        )
    if caption_match is None:
        return
    if caption_match.image_network in images.trained_with:
        raise ValueError(
            "R-precision needs a text encoder with image features of a network "
            "that the model was not trained with. Received: those of "
            f"{caption_match.image_network!r}, and a model trained with "
            f"{', '.join(sorted(images.trained_with))}. Train another one by "
            "`keras-t2i train-text --image-encoder`."
        )
    own = images.text_encoder
    if own is not None and _share_weights(own, caption_match.text_encoder):
        raise ValueError(
            "R-precision needs another text encoder than the model's own, "
            "whose embeddings the model was trained with. Received: one with "
            "its weights. Train another one by `keras-t2i train-text`."
        )


def _share_weights(first, second):
    # Any of them, as the last layer's scale changes when a training ends.
    # Zeros and ones are what several encoders may begin with and keep.
    return any(
        a.shape == b.shape and np.ptp(a) > 0 and np.array_equal(a, b)
        for a, b in zip(first.get_weights(), second.get_weights())
    )
