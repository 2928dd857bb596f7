import importlib.resources
import json
import shutil

import keras
import numpy as np
import pytest

from benchmarks.ship_weights import write_description
from benchmarks.ship_weights import write_pretrained_weights
from keras_t2i import StyleEncoder
from keras_t2i import TextToImageGAN
from keras_t2i.datasets.images import to_model_range
from keras_t2i.models.discriminator import members_of
from keras_t2i.models.noise import noise_from_seeds
from keras_t2i.models.normalization import standardizations_of
from keras_t2i.models.style_encoder import check_style_encoder
from keras_t2i.pretrained import network_files
from keras_t2i.pretrained.network_files import load_pretrained_weights
from keras_t2i.pretrained.network_files import names_with_style_encoder
from keras_t2i.pretrained.network_files import pretrained_description
from keras_t2i.pretrained.network_files import pretrained_names
from tests.pretrained_gans import pretrained_gan

NAMES = pretrained_names()


def _network(units=3):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder in place of the package's, with one network in it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    network = _network()
    network.layers[0].bias.assign([1 / 3, 1e-9, 1e9])
    digest = write_pretrained_weights(network, folder / "weights.npz")
    write_description(folder, {"files": {"weights.npz": digest}})
    monkeypatch.setattr(
        network_files.importlib.resources, "files", lambda package: tmp_path
    )
    return tmp_path, network


def test_flowers_come_with_the_package():
    assert "gan_int_cls_plus_flowers" in NAMES
    assert set(NAMES) < set(TextToImageGAN.presets)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_with_weights_generates(name):
    gan = pretrained_gan(name)
    description = pretrained_description(name)
    assert gan.image_size == description["recipe"]["image_size"]
    images = gan.generate(["a red flower", "a yellow flower"], seed=0)
    assert images.shape == (2, gan.image_size, gan.image_size, 3)
    # Red pixels are in the red one, and yellow ones in the yellow one.
    reds, greens, blues = np.moveaxis(images.astype(int), -1, 0)
    num_red = np.sum(reds - np.maximum(greens, blues) > 60, axis=(1, 2))
    num_yellow = np.sum(np.minimum(reds, greens) - blues > 60, axis=(1, 2))
    assert num_red[0] > 5 * num_red[1]
    assert num_yellow[1] > 5 * num_yellow[0]
    # Both generators have the weights: training goes on from them.
    for weight, average in zip(
        gan.generator.weights, gan.ema_generator.weights
    ):
        np.testing.assert_array_equal(weight, average)


@pytest.mark.parametrize("name", NAMES)
def test_all_networks_of_a_preset_with_weights_see_the_same_texts(name):
    gan = pretrained_gan(name)
    (trained,) = standardizations_of(gan.generator)
    assert np.abs(trained.mean).max() > 0.0
    for member in members_of(gan.discriminator):
        (layer,) = standardizations_of(member)
        for weight, expected in zip(layer.weights, trained.weights):
            np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("name", NAMES[:1])
def test_a_preset_with_weights_takes_options_but_no_other_networks(name):
    gan = TextToImageGAN.from_preset(name, mismatch_weight=0.25)
    assert gan.mismatch_weight == 0.25
    np.testing.assert_array_equal(
        gan.generate("a rose"), pretrained_gan(name).generate("a rose")
    )
    with pytest.raises(ValueError, match="stay as they are.*discriminator_wid"):
        TextToImageGAN.from_preset(name, discriminator_width=8)


@pytest.mark.parametrize("name", names_with_style_encoder())
def test_a_style_encoder_finds_the_noise_of_its_gan(name, monkeypatch):
    gan = pretrained_gan(name)
    style_encoder = StyleEncoder.from_preset(name)
    check_style_encoder(style_encoder, gan)
    monkeypatch.setattr(gan, "truncation", 1.0)
    images = gan.generate(["a red flower"] * 16, seed=np.arange(16))
    noise = np.asarray(noise_from_seeds(np.arange(16), gan.noise_dim))
    styles = style_encoder.predict(to_model_range(images), verbose=0)
    cosines = (styles / np.linalg.norm(styles, axis=1, keepdims=True)) @ (
        noise / np.linalg.norm(noise, axis=1, keepdims=True)
    ).T
    own = np.trace(cosines) / 16
    assert own > cosines.mean() + 0.1


def test_a_preset_without_a_style_encoder():
    expected = "comes with gan_int_cls_plus_.*Received: 'reed2016'"
    with pytest.raises(ValueError, match=expected):
        StyleEncoder.from_preset("reed2016")


def test_weights_come_back_in_half_precision(package):
    _, network = package
    loaded = _network(3)
    loaded.set_weights([np.zeros(w.shape) for w in loaded.weights])
    load_pretrained_weights(loaded, "mine", "weights.npz")
    kernel, bias = network.get_weights()
    np.testing.assert_array_equal(
        loaded.get_weights()[0], kernel.astype("float16").astype("float32")
    )
    # Vectors are few, and stay as they are.
    np.testing.assert_array_equal(loaded.get_weights()[1], bias)


def test_a_damaged_file(package):
    folder, _ = package
    path = folder / "mine" / "weights.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="SHA-256.*Received.*Install"):
        load_pretrained_weights(_network(), "mine", "weights.npz")
    path.unlink()
    with pytest.raises(ValueError, match="SHA-256.*Received.*Install"):
        load_pretrained_weights(_network(), "mine", "weights.npz")


def test_another_file_or_network(package):
    with pytest.raises(ValueError, match="Received: it has weights.npz"):
        load_pretrained_weights(_network(), "mine", "style_encoder.npz")
    with pytest.raises(ValueError, match=r"\(4, 2\).*Received: .*\(4, 3\)"):
        load_pretrained_weights(_network(2), "mine", "weights.npz")


@pytest.mark.parametrize("value", (np.nan, 1e6))
def test_what_half_precision_cannot_hold(value, tmp_path):
    network = _network()
    network.layers[0].kernel.assign(np.full((4, 3), value))
    with pytest.raises(ValueError, match="finite in half precision"):
        write_pretrained_weights(network, tmp_path / "weights.npz")
    assert not list(tmp_path.iterdir())


def test_pickled_arrays_are_refused(package):
    folder, _ = package
    path = folder / "mine" / "weights.npz"
    np.savez(path, **{"0000": np.array([{}], dtype=object)})
    digest = network_files.hashlib.sha256(path.read_bytes()).hexdigest()
    write_description(folder / "mine", {"files": {"weights.npz": digest}})
    with pytest.raises(ValueError, match="allow_pickle"):
        load_pretrained_weights(_network(), "mine", "weights.npz")


def test_folders_without_a_description_are_no_networks(package):
    folder, _ = package
    (folder / "__pycache__").mkdir()
    assert pretrained_names() == ()
    shutil.copytree(folder / "mine", folder / "gan")
    description = json.loads((folder / "gan" / "preset.json").read_text())
    write_description(folder / "gan", {**description, "recipe": {}})
    assert pretrained_names() == ("gan",)
    assert importlib.resources.files("keras_t2i") == folder
