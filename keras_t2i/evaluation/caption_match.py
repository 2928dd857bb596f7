"""Whether images match their captions, by a text encoder."""

import hashlib

import keras
import numpy as np

from keras_t2i.applications.feature_extraction import features_of_images
from keras_t2i.applications.feature_extraction import resized
from keras_t2i.applications.feature_networks import image_network
from keras_t2i.evaluation.judge import Judge
from keras_t2i.text.embeddings import embed_texts

_IMAGE_SIZE = 224


class CaptionMatch:
    """Embeds images and captions in one space.

    Args:
        joint_embedding: `keras_t2i.JointEmbedding`, trained with images or
            with the features of a network that has a name.
        judge: `Judge`. Where the image encoder takes the features of this very
            network, they are not computed twice.

    Attributes:
        image_network: string. The network whose features the image encoder
            takes, `None` where it takes images.
        text_encoder: `keras.Model` from `token_ids` to embeddings.
        sha256: string. A digest of both encoders' weights.

    Raises:
        ValueError: the image encoder takes features, and it is not known of
            which network, or they are of another size.
    """

    def __init__(self, joint_embedding, judge: Judge):
        self.text_encoder = joint_embedding.text_encoder
        self._image_encoder = joint_embedding.image_encoder
        self.sha256 = _digest([self.text_encoder, self._image_encoder])
        self._network = None
        self._takes_the_judges_features = False
        # Runs of before there were such networks have no name of one.
        self.image_network = getattr(joint_embedding, "image_network", None)
        shape = self._image_encoder.input_shape
        if len(shape) == 4:
            self.image_network = None
            self._image_size = shape[1] or _IMAGE_SIZE
            return
        if self.image_network is None:
            raise ValueError(
                "R-precision needs a text encoder that was trained with "
                "images, or with the features of a named network, which can "
                "be computed of generated images too. Received: one trained "
                "with features of an unknown network. Train one by "
                "`keras-t2i train-text --image-encoder efficientnet_lite2`."
            )
        self._image_size = _IMAGE_SIZE
        self._takes_the_judges_features = (
            self.image_network == judge.published_name
        )
        network = judge.network
        if not self._takes_the_judges_features:
            network = image_network(self.image_network, _IMAGE_SIZE)
            self._network = network
        if network.output_shape[-1] != shape[-1]:
            raise ValueError(
                "The image encoder must take the features of its network, "
                f"{network.output_shape[-1]} of {self.image_network!r}. "
                f"Received: one that takes {shape[-1]}."
            )

    def image_embeddings(
        self, images: np.ndarray, judge_features: np.ndarray
    ) -> np.ndarray:
        """Embeds images.

        Args:
            images: uint8 array of shape `(num_images, size, size, 3)`.
            judge_features: array of shape `(num_images, num_features)`: what
                the judge says of them.

        Returns:
            float32 array of shape `(num_images, embedding_dim)`.
        """
        if self._takes_the_judges_features:
            inputs = judge_features
        else:
            images = resized(images, self._image_size)
            if self._network is None:
                inputs = images / np.float32(127.5) - 1.0
            else:
                inputs = features_of_images(self._network, images)
        embeddings = self._image_encoder.predict_on_batch(inputs)
        return keras.ops.convert_to_numpy(embeddings).astype("float32")

    def text_embeddings(self, captions: list[str]) -> np.ndarray:
        """Embeds captions.

        Args:
            captions: list of strings.

        Returns:
            float32 array of shape `(num_captions, embedding_dim)`.
        """
        return embed_texts(self.text_encoder, captions)


def _digest(networks):
    digest = hashlib.sha256()
    for network in networks:
        for weight in network.get_weights():
            digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
