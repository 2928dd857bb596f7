"""The records of a prepared data set and of its extracted embeddings."""

import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class CaptionedImage:
    """One image with its captions, as a prepared data set holds it.

    Args:
        id: string. Unique within the data set.
        image: bytes. A JPEG or PNG file, three channels.
        captions: tuple of strings. At least one.
        class_id: int. Index into the manifest's `class_names`, -1 without
            classes.
    """

    id: str
    image: bytes
    captions: tuple[str, ...]
    class_id: int = -1

    def serialize(self) -> bytes:
        """Returns the record as the bytes of a `tf.train.Example`."""
        return _serialize(
            image=[self.image],
            captions=[caption.encode("utf-8") for caption in self.captions],
            class_id=[self.class_id],
            id=[self.id.encode("utf-8")],
        )

    @classmethod
    def parse(cls, record: bytes) -> "CaptionedImage":
        """Reads what `serialize` wrote."""
        feature = tf.train.Example.FromString(record).features.feature
        captions = feature["captions"].bytes_list.value
        return cls(
            id=feature["id"].bytes_list.value[0].decode("utf-8"),
            image=feature["image"].bytes_list.value[0],
            captions=tuple(caption.decode("utf-8") for caption in captions),
            class_id=feature["class_id"].int64_list.value[0],
        )


@dataclasses.dataclass(frozen=True)
class EmbeddedCaptions:
    """The embeddings of all captions of one image, in their order.

    Args:
        id: string. That of the image.
        embeddings: float32 array of shape `(num_captions, embedding_dim)`.
    """

    id: str
    embeddings: np.ndarray

    def serialize(self) -> bytes:
        """Returns the record as the bytes of a `tf.train.Example`."""
        return _serialize(
            id=[self.id.encode("utf-8")],
            embeddings=[self.embeddings.astype("<f4").tobytes()],
            num_captions=[len(self.embeddings)],
        )

    @classmethod
    def parse(cls, record: bytes) -> "EmbeddedCaptions":
        """Reads what `serialize` wrote."""
        feature = tf.train.Example.FromString(record).features.feature
        values = np.frombuffer(
            feature["embeddings"].bytes_list.value[0], dtype="<f4"
        )
        num_captions = feature["num_captions"].int64_list.value[0]
        return cls(
            id=feature["id"].bytes_list.value[0].decode("utf-8"),
            embeddings=values.reshape(num_captions, -1),
        )


def _serialize(**values: list) -> bytes:
    features = {}
    for name, value in values.items():
        if isinstance(value[0], bytes):
            feature = tf.train.Feature(
                bytes_list=tf.train.BytesList(value=value)
            )
        else:
            feature = tf.train.Feature(
                int64_list=tf.train.Int64List(value=value)
            )
        features[name] = feature
    example = tf.train.Example(features=tf.train.Features(feature=features))
    # Deterministic: preparing twice must give the same bytes.
    return example.SerializeToString(deterministic=True)
