import keras
import numpy as np
import pytest

from keras_t2i.text import application_encoder
from keras_t2i.text import feature_encoder
from keras_t2i.text import image_encoder
from tests.tiny_models import random_images


def test_parameters_by_hand():
    # 32 -> 16 -> 8 -> 4, with 4, 8 and 16 channels.
    encoder = image_encoder(32, embedding_dim=12, width=4)
    convolutions = 16 * 3 * 4 + 16 * 4 * 8 + 16 * 8 * 16
    batch_norms = 4 * (4 + 8 + 16)
    embedding = 16 * 12 + 12
    assert encoder.count_params() == convolutions + batch_norms + embedding
    assert encoder.output_shape == (None, 12)


def test_maps_shrink_to_4x4():
    for image_size in (8, 64):
        encoder = image_encoder(image_size, embedding_dim=2, width=1)
        pooling = [
            layer
            for layer in encoder.layers
            if isinstance(layer, keras.layers.GlobalAveragePooling2D)
        ]
        assert pooling[0].input.shape[1:3] == (4, 4)


def test_an_image_does_not_depend_on_its_neighbors():
    encoder = image_encoder(32, embedding_dim=12, width=4)
    images = random_images(3)
    together = np.array(encoder(images))
    np.testing.assert_allclose(together[1:2], encoder(images[1:2]), atol=1e-6)


def _preprocessed(encoder, images):
    return np.array(encoder.get_layer("preprocessing")(images))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a small network, as Keras publishes them."""
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    network = keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    for weight in network.weights:
        weight.assign(weight + 0.01)
    network.save_weights(path)
    return path


@pytest.mark.parametrize(
    ("name", "module"),
    [("VGG16", "vgg16"), ("DenseNet121", "densenet"), ("MobileNet", None)],
)
def test_inputs_are_what_the_network_expects(name, module):
    encoder = application_encoder(name, 32, embedding_dim=3)
    images = random_images(2)
    module = getattr(keras.applications, module or name.lower())
    expected = module.preprocess_input((images + 1) * 127.5)
    np.testing.assert_allclose(
        _preprocessed(encoder, images), expected, atol=1e-3
    )
    assert encoder.output_shape == (None, 3)


def test_a_network_that_does_it_inside_gets_bytes():
    encoder = application_encoder("MobileNetV3Small", 32, embedding_dim=3)
    np.testing.assert_allclose(
        _preprocessed(encoder, np.array([[[[-1.0, 0, 1]]]])),
        [[[[0, 127.5, 255]]]],
    )


def test_frozen_weights(weights, tmp_path):
    encoder = application_encoder(
        "MobileNet", 32, embedding_dim=3, weights=weights, frozen=True
    )
    network = encoder.layers[2]
    expected = keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    expected.load_weights(weights)
    for weight, other in zip(network.get_weights(), expected.get_weights()):
        np.testing.assert_array_equal(weight, other)
    names = [weight.path for weight in encoder.trainable_variables]
    assert names == ["embedding/kernel", "embedding/bias"]
    encoder.save(tmp_path / "encoder.keras")
    copy = keras.saving.load_model(tmp_path / "encoder.keras")
    assert len(copy.trainable_variables) == 2
    images = random_images(2)
    np.testing.assert_allclose(copy(images), encoder(images), atol=1e-5)
    # Batch norm is frozen too.
    np.testing.assert_allclose(
        encoder(images, training=True), encoder(images), atol=1e-5
    )


def test_a_frozen_network_drops_nothing(tmp_path):
    """EfficientNet leaves out whole blocks at random while it is trained."""
    path = tmp_path / "efficient.weights.h5"
    network = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    for weight in network.weights:
        if len(weight.shape) == 4:
            # Untrained, all blocks together change next to nothing.
            weight.assign(1.7 * weight)
    network.save_weights(path)
    encoder = application_encoder(
        "EfficientNetB0", 32, embedding_dim=3, weights=path, frozen=True
    )
    images = random_images(2)
    expected = encoder(images)
    assert np.abs(expected).max() > 1
    encoder.save(tmp_path / "encoder.keras")
    for each in (encoder, keras.saving.load_model(tmp_path / "encoder.keras")):
        np.testing.assert_allclose(
            each(images, training=True), expected, rtol=1e-4
        )


def test_all_of_it_is_trained_otherwise(weights):
    encoder = application_encoder(
        "MobileNet", 32, embedding_dim=3, weights=weights
    )
    assert len(encoder.trainable_variables) > 80


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match="MobileNet, .*Received: 'AlexNet'"):
        application_encoder("AlexNet", 32)
    with pytest.raises(ValueError, match="none.h5', which is not there"):
        application_encoder("MobileNet", 32, weights=tmp_path / "none.h5")
    with pytest.raises(ValueError, match="Received: frozen=True without"):
        application_encoder("MobileNet", 32, frozen=True)
    with pytest.raises(ValueError, match="at least 75x75"):
        application_encoder("InceptionV3", 32)
    path = tmp_path / "bad.weights.h5"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="those of MobileNet.*bad.*loaded: "):
        application_encoder("MobileNet", 32, weights=path)


def test_it_is_linear():
    encoder = feature_encoder(4, embedding_dim=3)
    kernel, bias = encoder.get_layer("embedding").get_weights()
    features = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(
        encoder(features), features @ kernel + bias, atol=1e-6
    )
