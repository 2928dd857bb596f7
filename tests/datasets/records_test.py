import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.datasets.records import CaptionedImage
from keras_t2i.datasets.records import EmbeddedCaptions

_IMAGE = CaptionedImage(
    id="rose/blüte 1.jpg",
    image=b"\x89PNG\x00\xff",
    captions=("a red flower", "eine rote Blüte 🌹"),
    class_id=3,
)


def test_image_round_trip():
    assert CaptionedImage.parse(_IMAGE.serialize()) == _IMAGE


def test_image_without_class():
    example = CaptionedImage("1", b"image", ("a caption",))
    assert example.class_id == -1
    assert CaptionedImage.parse(example.serialize()) == example


def test_image_features():
    parsed = tf.io.parse_single_example(
        _IMAGE.serialize(),
        {
            "image": tf.io.FixedLenFeature([], tf.string),
            "captions": tf.io.RaggedFeature(tf.string),
            "class_id": tf.io.FixedLenFeature([], tf.int64),
            "id": tf.io.FixedLenFeature([], tf.string),
        },
    )
    assert parsed["image"].numpy() == b"\x89PNG\x00\xff"
    assert [text.decode() for text in parsed["captions"].numpy()] == [
        "a red flower",
        "eine rote Blüte 🌹",
    ]
    assert parsed["class_id"].numpy() == 3
    assert parsed["id"].numpy().decode() == "rose/blüte 1.jpg"


def test_embeddings_round_trip():
    values = np.array([[0.5, -1.25, 3.0], [1e-8, 2.0, np.pi]], np.float32)
    record = EmbeddedCaptions("a", values).serialize()
    parsed = EmbeddedCaptions.parse(record)
    assert parsed.id == "a"
    assert parsed.embeddings.dtype == np.float32
    np.testing.assert_array_equal(parsed.embeddings, values)


def test_embeddings_features():
    # Not contiguous, float64 and big-endian: written as little-endian float32.
    values = np.array([[1.0, 9.0, -2.0, 9.0]], ">f8")[:, ::2]
    parsed = tf.io.parse_single_example(
        EmbeddedCaptions("a", values).serialize(),
        {
            "embeddings": tf.io.FixedLenFeature([], tf.string),
            "num_captions": tf.io.FixedLenFeature([], tf.int64),
        },
    )
    assert parsed["embeddings"].numpy() == b"\0\0\x80\x3f\0\0\0\xc0"
    assert parsed["num_captions"].numpy() == 1


@pytest.mark.parametrize(
    "record",
    [_IMAGE, EmbeddedCaptions("a", np.zeros((2, 3), np.float32))],
    ids=["image", "embeddings"],
)
def test_same_bytes_each_time(record):
    assert len({record.serialize() for _ in range(5)}) == 1
