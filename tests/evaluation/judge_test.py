import hashlib
import re

import keras
import numpy as np
import pytest
from PIL import Image

from keras_t2i import JointEmbedding
from keras_t2i.applications import EfficientNetLite0
from keras_t2i.applications.feature_networks import image_network
from keras_t2i.applications.feature_networks import pooled_network
from keras_t2i.evaluation import CaptionMatch
from keras_t2i.evaluation import Judge
from keras_t2i.evaluation import load_judge
from keras_t2i.text.embeddings import embed_texts
from keras_t2i.text.image_encoders import feature_encoder
from tests.datasets.prepared_sets import noise_image
from tests.evaluation.tiny_sets import judging_network
from tests.tiny_models import EMBEDDING_DIM
from tests.tiny_models import tiny_joint_embedding
from tests.tiny_models import tiny_text_encoder


def test_features_are_means_of_maps_of_resized_images():
    judge = Judge(judging_network())
    assert (judge.name, judge.image_size) == ("tiny_judge", 32)
    images = np.stack([noise_image(number, 24, 24) for number in range(2)])
    resized = [
        np.asarray(Image.fromarray(i).resize((32, 32), Image.BICUBIC))
        for i in images
    ]
    maps = judge.network(np.stack(resized) / np.float32(127.5) - 1)
    features = judge.features(images)
    assert features.shape == (2, 8)
    np.testing.assert_allclose(
        features, np.mean(maps, axis=(1, 2)), rtol=1e-4, atol=1e-6
    )


def test_a_network_that_returns_vectors():
    network = judging_network()
    network.add(keras.layers.GlobalMaxPooling2D())
    images = noise_image(0, 32, 32)[None]
    np.testing.assert_allclose(
        Judge(network).features(images),
        network(images / np.float32(127.5) - 1),
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_file(tmp_path):
    path = tmp_path / "mine.keras"
    judging_network().save(path)
    judge = load_judge(path)
    assert judge.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (judge.name, judge.published_name) == ("tiny_judge", None)
    images = noise_image(0, 32, 32)[None]
    np.testing.assert_array_equal(
        judge.features(images), Judge(judging_network()).features(images)
    )


def test_a_network_of_any_size_gets_224_pixels():
    network = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Conv2D(2, 200, use_bias=False),
        ]
    )
    judge = Judge(network)
    assert judge.image_size == 224
    assert judge.features(noise_image(0, 32, 32)[None]).shape == (1, 2)


def test_digests_tell_networks_apart():
    first = Judge(judging_network())
    assert first.sha256 == Judge(judging_network()).sha256
    other = judging_network()
    other.set_weights([2 * weight for weight in other.get_weights()])
    assert Judge(other).sha256 != first.sha256
    # The same weights in other layers.
    other = judging_network()
    other.layers[0].activation = keras.activations.tanh
    assert Judge(other).sha256 != first.sha256


def test_names(tmp_path):
    judge = load_judge("efficientnet_lite0")
    assert judge.name == judge.published_name == "efficientnet_lite0"
    assert judge.image_size == 224
    assert judge.sha256 == load_judge("efficientnet_lite0").sha256
    images = noise_image(0, 224, 224)[None]
    network = EfficientNetLite0()
    np.testing.assert_allclose(
        judge.features(images),
        np.mean(network(images / np.float32(127.5) - 1), axis=(1, 2)),
        rtol=1e-3,
        atol=1e-4,
    )
    # A model may have been trained with it, whatever it is called in a file.
    assert "efficientnet_lite0" in Judge(network).known_as
    with pytest.raises(ValueError, match="MobileNetV2.*Received: 'inception'"):
        load_judge("inception")


def test_what_is_no_judge(tmp_path):
    with pytest.raises(ValueError, match="'.*b.keras', which is no file"):
        load_judge(tmp_path / "b.keras")
    with pytest.raises(ValueError, match="which is no file"):
        load_judge(tmp_path)
    (tmp_path / "a.keras").write_text("no network")
    with pytest.raises(ValueError, match="a.keras', which cannot be loaded"):
        load_judge(tmp_path / "a.keras")
    network = judging_network()
    kernel, bias = network.get_weights()
    bias[2] = np.nan
    network.set_weights([kernel, bias])
    with pytest.raises(ValueError, match="finite. Rec.* in 'tiny_judge'"):
        Judge(network)


@pytest.mark.parametrize(
    ("input_shape", "received"),
    [
        ((32, 32, 1), "(None, 32, 32, 1)"),
        ((32, 40, 3), "(None, 32, 40, 3)"),
        ((32, 3), "(None, 32, 3)"),
    ],
)
def test_networks_of_other_inputs(input_shape, received):
    inputs = keras.Input(input_shape)
    network = keras.Model(inputs, keras.layers.Dense(4)(inputs))
    with pytest.raises(ValueError, match="to a fea.*" + re.escape(received)):
        Judge(network)


def test_networks_of_other_outputs():
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Dense(4)(inputs)
    with pytest.raises(ValueError, match="a feature map or a vector"):
        Judge(keras.Model(inputs, [x, x + 1]))
    x = keras.layers.Reshape((32, 128))(x)
    with pytest.raises(ValueError, match=r"Received: .*\(None, 32, 128\)"):
        Judge(keras.Model(inputs, x))


def test_a_judge_of_a_name_is_float32_whatever_the_precision():
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    judge = load_judge("efficientnet_lite0")
    assert judge.network.compute_dtype == "float32"
    assert {
        layer.compute_dtype for layer in judge.network.layers if layer.weights
    } == {"float32"}


def _images(side):
    return np.stack([noise_image(number, side, side) for number in range(2)])


def _with_features(num_features, network):
    return JointEmbedding(
        tiny_text_encoder(),
        feature_encoder(num_features, EMBEDDING_DIM),
        image_network=network,
    )


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


def test_an_encoder_of_pooled_features_computes_them():
    model = _with_features(1776, "efficientnet_lite0")
    network = image_network("efficientnet_lite0", 224)
    # The features of such a judge are others.
    judge = Judge(network, published_name="efficientnet_lite0")
    match = CaptionMatch(model, judge)
    images = _images(224)
    features = pooled_network("efficientnet_lite0", 224)(images / 127.5 - 1)
    np.testing.assert_allclose(
        match.image_embeddings(images, np.zeros((2, 1280))),
        model.image_encoder(features),
        rtol=1e-2,
        atol=1e-3,
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
    with pytest.raises(ValueError, match="1776 of 'efficientnet_lite0'. .* 7"):
        CaptionMatch(_with_features(7, "efficientnet_lite0"), judge)
