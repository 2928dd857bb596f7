"""The networks that judge images, and whether they have trained the model."""

import hashlib
import json
import pathlib
import re

import keras
import numpy as np

from keras_t2i.applications.efficientnet_lite import IMAGE_NETWORKS
from keras_t2i.applications.feature_extraction import features_of_images
from keras_t2i.applications.feature_extraction import resized
from keras_t2i.applications.feature_networks import check_finite_weights
from keras_t2i.applications.feature_networks import image_network
from keras_t2i.applications.feature_networks import pooled_network
from keras_t2i.datasets.images import to_model_range
from keras_t2i.errors import first_line
from keras_t2i.evaluation.generated_images import FolderImages
from keras_t2i.evaluation.generated_images import ModelImages
from keras_t2i.files import file_sha256
from keras_t2i.keras_files import load_keras_file
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.text.joint_embedding import JointEmbedding
from keras_t2i.types import StrPath

DEFAULT_JUDGE = "efficientnet_lite2"
# For networks that take images of any size.
_IMAGE_SIZE = 224


class Judge:
    """Computes the features that images are compared by.

    Images are resized to the network's size, bicubic and antialiased.

    Args:
        network: `keras.Model` from images in [-1, 1] of shape
            `(batch, size, size, 3)` to a feature map, of which the mean is
            taken, or to a vector. If it takes any size, it gets 224 pixels.
        sha256: string. Identifies the network. Defaults to `None`: a digest of
            its layers and weights.
        published_name: string. The name of its published weights. Defaults to
            `None`: it has other weights.

    Attributes:
        name: string. That of the network.
        known_as: set of strings. The names under which a model may have been
            trained with this network.
        image_size: int. Side in pixels of the images that the network gets.
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

    def __init__(
        self,
        network: keras.Model,
        sha256: str | None = None,
        published_name: str | None = None,
    ):
        self.name = published_name or network.name
        self.published_name = published_name
        self.known_as = {self.name} | {
            name
            for name, kind in IMAGE_NETWORKS.items()
            if type(network) is kind
        }
        self.image_size = _checked_image_size(network)
        check_finite_weights(network, self.name)
        self.network = network
        self.sha256 = sha256 or _digest(network, published_name)

    def features(self, images: np.ndarray) -> np.ndarray:
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


def load_judge(name_or_file: StrPath = DEFAULT_JUDGE) -> Judge:
    """Makes a judge from the name of a network, or loads it from a file.

    Args:
        name_or_file: `"efficientnet_lite2"`, `"efficientnet_lite0"`, the name
            of a network of `keras.applications`, whose weights Keras downloads
            once, or the path of a .keras file. Defaults to
            `"efficientnet_lite2"`.

    Returns:
        `Judge`. Its `sha256` is that of the file, or of the name and the
        weights.

    Raises:
        ValueError: there is no such network or file, or it cannot be a judge.
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
    sha256 = file_sha256(path)
    try:
        network = load_keras_file(path)
    # Keras raises errors of many kinds for other files.
    except Exception as error:
        raise ValueError(
            "The judge must be the name of a network or a .keras file. "
            f"Received: {str(path)!r}, which cannot be loaded: "
            f"{first_line(error):.200}"
        ) from error
    return Judge(network, sha256)


def _checked_image_size(network: keras.Model) -> int:
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


def _digest(network: keras.Model, about: str | None) -> str:
    if about is None:
        config = json.dumps(network.get_config(), sort_keys=True, default=str)
        # Keras numbers unnamed layers throughout a process.
        config = re.sub(r'_\d+"', '"', config)
        about = f"{type(network).__name__} {config}"
    digest = hashlib.sha256(about.encode())
    for weight in network.get_weights():
        digest.update(f"{weight.shape} {weight.dtype}".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


class CaptionMatch:
    """Embeds images and captions in one space.

    Args:
        joint_embedding: `keras_t2i.JointEmbedding`, trained with images or
            with the features of a network that has a name.
        judge: `Judge`. Its features are used if the image encoder takes those
            of the same network.

    Attributes:
        image_network: string. The network whose features the image encoder
            takes, `None` if it takes images.
        text_encoder: `keras.Model` from `token_ids` to embeddings.
        sha256: string. A digest of both encoders' weights.

    Raises:
        ValueError: the image encoder takes features of an unknown network, or
            of another size.
    """

    def __init__(self, joint_embedding: JointEmbedding, judge: Judge):
        self.text_encoder = joint_embedding.text_encoder
        self._image_encoder = joint_embedding.image_encoder
        digest = hashlib.sha256()
        for encoder in (self.text_encoder, self._image_encoder):
            for weight in encoder.get_weights():
                digest.update(np.ascontiguousarray(weight).tobytes())
        self.sha256 = digest.hexdigest()
        self.image_network: str | None = None
        self._image_size = _IMAGE_SIZE
        self._takes_the_judges_features = False
        # Between images and the image encoder.
        self._network: keras.Model | None = None
        shape = self._image_encoder.input_shape
        if len(shape) == 4:
            self._image_size = shape[1] or _IMAGE_SIZE
            return
        # Old runs do not name it.
        name = getattr(joint_embedding, "image_network", None)
        if name is None:
            raise ValueError(
                "R-precision needs a text encoder that was trained with "
                "images, or with the features of a named network, which can "
                "be computed of generated images too. Received: one trained "
                "with features of an unknown network. Train one by "
                "`keras-t2i train-text --image-encoder efficientnet_lite2`."
            )
        self.image_network = name
        network = judge.network
        # The judge's are means over the last map; newer encoders take more.
        self._takes_the_judges_features = (
            name == judge.published_name
            and network.output_shape[-1] == shape[-1]
        )
        if not self._takes_the_judges_features:
            network = pooled_network(name, _IMAGE_SIZE, shape[-1])
            self._network = network
        if network.output_shape[-1] != shape[-1]:
            raise ValueError(
                "The image encoder must take the features of its network, "
                f"{network.output_shape[-1]} of {name!r}. Received: one that "
                f"takes {shape[-1]}."
            )

    def image_embeddings(
        self, images: np.ndarray, judge_features: np.ndarray
    ) -> np.ndarray:
        """Embeds images.

        Args:
            images: uint8 array of shape `(num_images, size, size, 3)`.
            judge_features: array of shape `(num_images, num_features)`. The
                judge's features of the images.

        Returns:
            float32 array of shape `(num_images, embedding_dim)`.
        """
        if self._takes_the_judges_features:
            inputs = judge_features
        else:
            images = resized(images, self._image_size)
            if self._network is None:
                inputs = to_model_range(images)
            else:
                inputs = features_of_images(self._network, images)
        embeddings = self._image_encoder.predict_on_batch(inputs)
        return keras.ops.convert_to_numpy(embeddings).astype("float32")

    def text_embeddings(self, captions: list[str]) -> np.ndarray:
        """Embeds captions, as float32 of shape `(num_captions, dim)`."""
        return embed_texts(self.text_encoder, captions)


def check_independence(
    images: ModelImages | FolderImages,
    judge: Judge,
    caption_match: CaptionMatch | None = None,
) -> None:
    """Raises `ValueError` if a judging network has trained the model.

    A model learns to please the networks that it is trained with, so these
    find its images too good. The text encoder of `caption_match` must not be
    the model's own either.
    """
    if judge.known_as & images.trained_with:
        raise ValueError(
            "A network must not judge a model that was trained with it. "
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
            "which the model was trained with. Received: one with its weights. "
            "Train another one by `keras-t2i train-text`."
        )


def _share_weights(first: keras.Model, second: keras.Model) -> bool:
    # Any weight counts, since the last layer's scale changes when a training
    # ends. But any encoder may begin with zeros or ones and keep them.
    return any(
        a.shape == b.shape and np.ptp(a) > 0 and np.array_equal(a, b)
        for a, b in zip(first.get_weights(), second.get_weights())
    )
