import numpy as np
import pytest

from keras_t2i.torch_files import load_reed_discriminator
from keras_t2i.torch_files import load_reed_generator
from keras_t2i.torch_files import load_reed_text_encoder
from tests.damaged_files import check_damaged_files
from tests.damaged_files import is_refused
from tests.formats.t7_writer import LuaTable
from tests.formats.t7_writer import Object
from tests.formats.t7_writer import Storage
from tests.formats.t7_writer import Tensor
from tests.formats.t7_writer import lua_list
from tests.formats.t7_writer import t7_bytes
from tests.formats.t7_writer import tensor
from tests.torch_files.torch_networks import Builder
from tests.torch_files.torch_networks import discriminator
from tests.torch_files.torch_networks import generator
from tests.torch_files.torch_networks import text_encoder

LOADERS = {
    load_reed_generator: generator,
    load_reed_discriminator: discriminator,
    load_reed_text_encoder: text_encoder,
}
# What is not refused becomes a Keras model, which takes more than the file.
MAX_BYTES, MAX_SECONDS = 2**26, 10


def _tables(network):
    """The tables that a loader looks at: fields, and lists of modules."""
    modules = [network]
    for module in modules:
        modules.extend(module.fields.get("modules", {}).values())
    lists = [m.fields["modules"] for m in modules if "modules" in m.fields]
    return [module.fields for module in modules] + lists


def _change(table, key, tables, random):
    """Replaces or removes one entry of a table of a network."""
    empty = Storage(np.zeros(1, "f4"))
    other = tables[random.integers(len(tables))]
    replacements = [
        None,
        True,
        -1,
        float("nan"),
        b"nn.Linear",
        LuaTable(),
        lua_list(1),
        table,
        other,
        Object("nn.Linear", LuaTable()),
        Object("nn.Sequential", LuaTable(modules=table)),
        Object("unknown", other),
        tensor(np.zeros(3, "i4"), "torch.IntTensor"),
        tensor(np.zeros((3, 4), "f4")),
        Tensor(None, (), ()),
        Tensor(empty, (1000, 1000), (0, 0)),
        Tensor(empty, (1, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
        *list(other.values())[:3],
    ]
    table[key] = replacements[random.integers(len(replacements))]


def _check_damaged_networks(tmp_path, load, seeds):
    path = tmp_path / "net.t7"
    refused = 0
    for seed in seeds:
        random = np.random.default_rng(seed)
        network = LOADERS[load](Builder(seed))
        tables = _tables(network)
        table = tables[random.integers(len(tables))]
        looked_at = ("weight", "bias", "running_var", "eps", "modules")
        keys = [key for key in table if key in looked_at] or list(table)
        _change(table, keys[random.integers(len(keys))], tables, random)
        path.write_bytes(t7_bytes(network))
        refused += is_refused(load, path, MAX_BYTES, MAX_SECONDS, seed)
    assert refused > len(seeds) / 4


@pytest.mark.parametrize("load", LOADERS)
def test_damaged_networks(tmp_path, load):
    _check_damaged_networks(tmp_path, load, range(8))


@pytest.mark.large
@pytest.mark.parametrize("load", LOADERS)
def test_many_damaged_networks(tmp_path, load):
    _check_damaged_networks(tmp_path, load, range(8, 10_008))


def _check_damaged_text_encoders(tmp_path, seeds):
    path = tmp_path / "encoder.t7"
    content = t7_bytes(text_encoder(Builder()))
    check_damaged_files(
        *(load_reed_text_encoder, path, content, seeds),
        max_bytes=MAX_BYTES,
        max_seconds=MAX_SECONDS,
    )


def test_damaged_text_encoders(tmp_path):
    _check_damaged_text_encoders(tmp_path, range(12))


@pytest.mark.large
def test_many_damaged_text_encoders(tmp_path):
    _check_damaged_text_encoders(tmp_path, range(12, 10_012))
