import keras
import numpy as np
import pytest

from keras_t2i import JointEmbedding
from keras_t2i.applications.feature_networks import image_network
from keras_t2i.evaluation import CaptionMatch
from keras_t2i.evaluation import Judge
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.text.image_encoders import feature_encoder
from tests.datasets.prepared_sets import noise_image
from tests.evaluation.tiny_sets import judging_network
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import tiny_text_encoder


def _images(side):
    return np.stack([noise_image(number, side, side) for number in range(2)])


def _with_features(num_features, network):
    model = JointEmbedding(
        tiny_text_encoder(), feature_encoder(num_features, EMBEDDING_DIM)
    )
    model.image_network = network
    return model


def test_an_encoder_of_images_gets_its_own_size():
    model = tiny_joint_embedding()
    match = CaptionMatch(model, Judge(judging_network()))
    assert match.image_network is None
    images = _images(32)
    np.testing.assert_allclose(
        match.image_embeddings(images, None),
        model.image_encoder(images / np.float32(127.5) - 1),
        rtol=1e-3,
        atol=1e-5,
    )
    # Twice as large, pixel by pixel.
    larger = np.repeat(np.repeat(images // 8 * 0 + 90, 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(
        match.image_embeddings(larger, None),
        match.image_embeddings(np.full_like(images, 90), None),
        rtol=1e-3,
        atol=1e-5,
    )
    texts = ["a rose", "a tulip"]
    np.testing.assert_allclose(
        match.text_embeddings(texts),
        embed_texts(model.text_encoder, texts),
        rtol=1e-5,
    )


def test_an_encoder_of_features_gets_those_of_its_network():
    model = _with_features(1280, "efficientnet_lite0")
    match = CaptionMatch(model, Judge(judging_network()))
    assert match.image_network == "efficientnet_lite0"
    network = image_network("efficientnet_lite0", 224)
    images = _images(224)
    features = np.mean(network(images / np.float32(127.5) - 1), axis=(1, 2))
    expected = model.image_encoder(features)
    np.testing.assert_allclose(
        match.image_embeddings(images, None), expected, rtol=1e-2, atol=1e-3
    )
    # Of the judge, where that is the network: not computed again.
    judge = Judge(network, published_name="efficientnet_lite0")
    match = CaptionMatch(model, judge)
    np.testing.assert_allclose(
        match.image_embeddings(np.zeros_like(images), features),
        expected,
        rtol=1e-3,
        atol=1e-5,
    )


def test_digests():
    judge = Judge(judging_network())
    model = tiny_joint_embedding()
    digest = CaptionMatch(model, judge).sha256
    assert digest == CaptionMatch(model, judge).sha256
    model.image_encoder.get_layer("embedding").bias.assign_add(
        keras.ops.ones(EMBEDDING_DIM)
    )
    assert digest != CaptionMatch(model, judge).sha256


def test_features_of_unknown_networks():
    judge = Judge(judging_network())
    with pytest.raises(ValueError, match="with features of an unknown netw"):
        CaptionMatch(_with_features(1280, None), judge)
    model = _with_features(1280, None)
    vars(model).pop("image_network", None)
    with pytest.raises(ValueError, match="with features of an unknown netw"):
        CaptionMatch(model, judge)
    with pytest.raises(ValueError, match="1280 of 'efficientnet_lite0'. .* 7"):
        CaptionMatch(_with_features(7, "efficientnet_lite0"), judge)
