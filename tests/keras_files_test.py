"""What a `.keras` file of a stranger may try."""

import contextlib
import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from keras_t2i.evaluation import load_judge
from keras_t2i.files import CHECKSUMS_FILE
from keras_t2i.keras_files import check_config
from keras_t2i.keras_files import load_keras_file
from keras_t2i.keras_files import load_preset_folder
from keras_t2i.keras_files import save_preset_folder
from keras_t2i.training.model_files import load_gan
from keras_t2i.training.run_folder import RunFolder

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_CODE = {"code": "4wAAAA==", "defaults": None, "closure": None}
_TENSOR = {
    "class_name": "__keras_tensor__",
    "config": {
        "shape": [None, 2],
        "dtype": "float32",
        "keras_history": ["inputs", 0, 0],
    },
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The parts of a file with a plain model."""
    path = tmp_path_factory.mktemp("models") / "plain.keras"
    inputs = keras.Input((2,), name="inputs")
    outputs = keras.layers.Dense(3, activation="gelu", name="dense")(inputs)
    model = keras.Model(inputs, keras.ops.tanh(outputs) * np.float32([2, 3, 4]))
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _file(path, parts, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def _with_layer(parts, layer, **node):
    """The parts with one more layer, called with the arguments of `node`."""
    config = json.loads(parts[_CONFIG])
    nodes = [{"args": [], "kwargs": {}, **node}]
    more = {"name": "evil", "registered_name": None, "inbound_nodes": nodes}
    config["config"]["layers"].append({**more, **layer})
    return {**parts, _CONFIG: json.dumps(config)}


def _function(module, name):
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": name,
    }


def test_a_plain_model(parts, tmp_path):
    path = _file(tmp_path / "model.keras", parts)
    model = load_keras_file(path)
    np.testing.assert_array_equal(
        model(np.ones((1, 2))), keras.saving.load_model(path)(np.ones((1, 2)))
    )
    assert not model.compiled
    assert load_keras_file(path, compile=True).compiled


# === Calls ===


def test_no_function_of_keras_is_called(parts, tmp_path, monkeypatch):
    # The safe mode of Keras 3.15 calls it while it builds the model.
    called = _function("keras.config", "disable_interactive_logging")
    parts = _with_layer(
        parts,
        {
            "module": "keras.src.ops.core",
            "class_name": "Cond",
            "config": {"name": "evil"},
        },
        args=[_TENSOR, called, called],
    )
    keras.config.enable_interactive_logging()
    file = tmp_path / "run" / "checkpoints" / "step-00000001.keras"
    file.parent.mkdir(parents=True)
    _file(file, parts)
    preset = tmp_path / "preset"
    preset.mkdir()
    for name in (_CONFIG, _WEIGHTS):
        content = parts[name]
        content = content.encode() if isinstance(content, str) else content
        (preset / name).write_bytes(content)
    run = RunFolder(tmp_path / "run")
    for load in (
        lambda: load_gan(file),
        lambda: load_gan(tmp_path / "run"),
        lambda: load_gan(preset),
        lambda: load_judge(file),
        lambda: load_preset_folder(preset),
        lambda: run.load_checkpoint(keras.Model),
    ):
        with pytest.raises(ValueError, match="'disable_interactive_logging' o"):
            load()
        assert keras.config.is_interactive_logging_enabled()


@pytest.mark.parametrize(
    "config",
    [
        _function("keras.utils", "get_file"),
        _function("os", "system"),
        _function(None, "system"),
        _function("keras.config", "enable_unsafe_deserialization"),
        # The name that counts for a function is the other one.
        {
            **_function("keras.utils", "get_file"),
            "registered_name": "keras_t2i>Generator",
        },
        # The name of the module goes on in that of the class.
        {
            "module": "keras",
            "class_name": "config.enable_unsafe_deserialization",
            "config": {},
        },
        {"module": "keras", "class_name": "layers.TFSMLayer", "config": {}},
        {"module": "subprocess", "class_name": "Popen", "config": {}},
        {"module": "keras_hub.models", "class_name": "Backbone", "config": {}},
        {"module": "keras.src.layers.core", "class_name": "Lambda"},
        # As of older formats, which Keras reads by other rules.
        {"class_name": "Lambda", "config": {"function": ["4wAAAA==", None]}},
        {"class_name": "__typespec__", "module": "tensorflow", "config": []},
        {"class_name": ["Dense"], "module": "keras.layers", "config": {}},
        # 80 GB.
        {
            "class_name": "__numpy__",
            "config": {"value": ["a"], "dtype": "S80000000000"},
        },
        {"class_name": "__tensor__", "config": {"value": 1}},
    ],
)
def test_what_no_config_may_name(config):
    with pytest.raises(ValueError, match="must consist of layers of Keras"):
        check_config({"layers": [{"config": {"dtype": config}}]})


def test_deep_nesting_is_no_way_out(parts, tmp_path):
    config = "[" * 10**5 + "]" * 10**5
    path = _file(tmp_path / "model.keras", {**parts, _CONFIG: config})
    with pytest.raises(ValueError, match="nested too deeply"):
        load_keras_file(path)
    config = []
    for _ in range(10**4):
        config = [config]
    check_config(config)


def test_safe_mode_refuses_layers_with_code_or_of_files(parts, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("word")
    for layer, config in (
        ("Lambda", {"function": {"class_name": "__lambda__", "config": _CODE}}),
        ("TFSMLayer", {"filepath": str(tmp_path)}),
        ("StringLookup", {"vocabulary": str(secret)}),
        ("IntegerLookup", {"vocabulary": str(secret)}),
    ):
        named = {"name": "evil", **config}
        layer = {"module": "keras.layers", "class_name": layer, "config": named}
        path = _file(tmp_path / "model.keras", _with_layer(parts, layer))
        with pytest.raises((TypeError, ValueError), match="l risk|must con"):
            load_keras_file(path)


# === Zip files ===


# Not all versions of Keras do.
@pytest.mark.filterwarnings("ignore:Skipping invalid path")
def test_entries_that_climb_out(parts, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    path = home / "model.keras"
    out = tmp_path / "climbed"
    climbing = {"../climbed": b"1", "assets/../../climbed": b"2"}
    _file(path, {**parts, **climbing, str(out): b"3", "assets/a": b"4"})
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("assets/link")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, str(tmp_path))
    # Keras 3.12 fails where others warn.
    with contextlib.suppress(AttributeError):
        load_keras_file(path)
    assert not out.exists()
    assert list(home.iterdir()) == [path]


def test_bombs(parts, tmp_path):
    path = tmp_path / "model.keras"
    zeros = bytes(2**24)
    for name in (_CONFIG, _WEIGHTS, "assets/zeros"):
        _file(path, {**parts, name: zeros}, zipfile.ZIP_DEFLATED)
        with pytest.raises(ValueError, match="would become .* times as large"):
            load_keras_file(path)
    _file(path, {**parts, _CONFIG: zeros + b" "})
    with pytest.raises(ValueError, match="config.json has more than 16,777,2"):
        load_keras_file(path)


def test_other_formats(parts, tmp_path):
    # Keras loads it by its name, with other rules.
    path = _file(tmp_path / "model.h5", parts)
    with pytest.raises(ValueError, match="does not end in .keras"):
        load_keras_file(path)
    for name in (_CONFIG, _WEIGHTS):
        others = {key: parts[key] for key in parts if key != name}
        path = _file(tmp_path / "model.keras", others)
        with pytest.raises(ValueError, match=f"holds no {name}"):
            load_keras_file(path)


# === Weights ===


def _external(group, shape, secret):
    # Bytes of another file.
    group.create_dataset("0", shape, "f4", external=[(secret, 0, 24)])


def _virtual(group, shape, secret):
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource(secret, "data", shape)
    group.create_virtual_dataset("0", layout)


def _huge(group, shape, secret):
    group.create_dataset("0", (2**20, 2**20), "f4", chunks=(1, 1))


def _packed(group, shape, secret):
    zeros = np.zeros((2**10, 2**10), "f4")
    group.create_dataset("0", data=zeros, compression="gzip")


def _linked(group, shape, secret):
    group["0"] = h5py.ExternalLink(secret, "/data")


def _soft(group, shape, secret):
    group["0"] = h5py.SoftLink("/")


@pytest.mark.parametrize(
    "change", [_external, _virtual, _huge, _packed, _linked, _soft]
)
def test_weights_that_are_not_in_the_file(parts, tmp_path, change):
    secret = str(tmp_path / "secret.h5")
    with h5py.File(secret, "w") as file:
        file["data"] = np.full((2, 3), 7, "f4")
    content = io.BytesIO(parts[_WEIGHTS])
    with h5py.File(content, "r+") as file:
        group = file["layers/dense/vars"]
        shape = group["0"].shape
        del group["0"]
        change(group, shape, secret)
    changed = {**parts, _WEIGHTS: content.getvalue()}
    path = _file(tmp_path / "model.keras", changed)
    with pytest.raises(ValueError, match="Received: 'layers/dense/vars/0'"):
        load_keras_file(path)


def test_weights_of_a_preset_that_are_not_in_the_file(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    save_preset_folder(model, tmp_path)
    # A stranger can leave it out.
    (tmp_path / CHECKSUMS_FILE).unlink()
    with h5py.File(tmp_path / _WEIGHTS, "r+") as file:
        del file["layers/dense/vars/0"]
        _huge(file["layers/dense/vars"], None, None)
    with pytest.raises(ValueError, match="cannot be loaded: all weights must"):
        load_preset_folder(tmp_path)


def test_a_heap_of_texts_without_end_is_refused(parts, tmp_path):
    # Keras reads texts beside weights; the HDF5 library would not return.
    weights = tmp_path / "weights.h5"
    weights.write_bytes(parts[_WEIGHTS])
    with h5py.File(weights, "r+") as file:
        file.attrs["dtype"] = "float32"
    content = bytearray(weights.read_bytes())
    place = content.index(b"GCOL") + 16
    # Past the texts, to the free space, which has no number.
    while content[place]:
        place += 16 + -(-content[place + 8] // 8) * 8
    content[place + 8 : place + 16] = bytes(8)
    damaged = {**parts, _WEIGHTS: bytes(content)}
    with pytest.raises(ValueError, match="an object of 0 bytes"):
        load_keras_file(_file(tmp_path / "model.keras", damaged))
