import numpy as np
import pytest

from keras_t2i import CharCNNRNN
from keras_t2i.torch_files import load_reed_text_encoder
from tests.formats.t7_writer import LuaTable
from tests.formats.t7_writer import lua_list
from tests.formats.t7_writer import t7_bytes
from tests.torch_files.numpy_torch import forward
from tests.torch_files.torch_networks import Builder
from tests.torch_files.torch_networks import generator
from tests.torch_files.torch_networks import text_encoder


@pytest.fixture
def written(tmp_path):
    """Writes a value, and returns the path."""

    def written(value):
        path = tmp_path / "encoder.t7"
        path.write_bytes(t7_bytes(value))
        return path

    return written


def _in_checkpoint(network):
    """The encoder where the training code for birds and flowers saves it."""
    return LuaTable(
        protos=LuaTable(enc_image=LuaTable(), enc_doc=network),
        opt=LuaTable(avg=1, savefile="sje"),
        train_losses=lua_list(*np.linspace(2, 1, 30).tolist()),
        vocab=LuaTable({"a": 1}),
    )


def _recurrence(network):
    return network.fields["modules"][4].fields["modules"]


def _linear(network, index):
    """Fields of the linear layer that is a module of the recurrence."""
    return _recurrence(network)[index].fields["modules"][1].fields


VARIANTS = {
    "flowers": {"third_pool": True, "gated": False},
    "birds and COCO": {"third_pool": False, "gated": True},
    "gates and third pool": {"third_pool": True, "gated": True},
    "no gates, no third pool": {"third_pool": False, "gated": False},
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_against_numpy(written, options):
    network = text_encoder(Builder(), **options)
    encoder = load_reed_text_encoder(written(_in_checkpoint(network)))
    assert type(encoder) is CharCNNRNN
    assert encoder.get_config() == {
        **encoder.get_config(),
        "convolution_filters": (5, 6, 8),
        "third_pool": options["third_pool"],
        "recurrence": "gated" if options["gated"] else "relu",
        "embedding_dim": 7,
    }
    ids = np.random.default_rng(0).integers(0, 71, (4, 201), dtype="int32")
    characters = np.zeros((4, 201, 71))
    np.put_along_axis(characters, ids[..., None], 1, axis=2)
    expected = forward(network, characters[..., 1:])
    embeddings = np.array(encoder(ids))
    assert expected.shape == (4, 7) and np.ptp(expected, axis=0).max() > 0.1
    scale = np.abs(expected).max()
    np.testing.assert_allclose(embeddings / scale, expected / scale, atol=1e-5)


def test_the_network_alone(written):
    network = text_encoder(Builder(), gated=True, third_pool=False)
    encoder = load_reed_text_encoder(written(network))
    assert (encoder.recurrence, encoder.third_pool) == ("gated", False)


def test_the_published_sizes_of_birds(written):
    network = text_encoder(Builder(), (384, 512, 256), embedding_dim=1024)
    encoder = load_reed_text_encoder(written(network))
    assert encoder.convolution_filters == (384, 512, 256)
    assert encoder.output_shape == (None, 1024)


def test_weights_of_another_alphabet_are_refused(written):
    path = written(text_encoder(Builder(), alphabet=69))
    with pytest.raises(
        ValueError,
        match=r"`weight` to have the shape \(5, 280\) .*Temporal.*\(5, 276\)",
    ):
        load_reed_text_encoder(path)


def test_the_last_state_alone_is_refused(written):
    network = text_encoder(Builder(), gated=True, mean=False)
    # Its graph runs the modules in another order, too.
    with pytest.raises(ValueError, match="module 3 of 144 .*as Reed et al."):
        load_reed_text_encoder(written(network))


def test_a_step_with_weights_of_its_own_is_refused(written):
    build = Builder()
    network = text_encoder(build)
    assert _recurrence(network)[11].class_name == "nn.Sequential"
    _linear(network, 11)["bias"] = build.normal((8,), 1)
    with pytest.raises(ValueError, match="each step .*module 11"):
        load_reed_text_encoder(written(network))


def test_a_step_less_is_refused(written):
    network = text_encoder(Builder(), third_pool=False)
    other = text_encoder(Builder(), third_pool=True)
    network.fields["modules"][4] = other.fields["modules"][4]
    with pytest.raises(ValueError, match="Expected Identity .*MulConstant"):
        load_reed_text_encoder(written(network))


def test_another_module_is_named(written):
    network = text_encoder(Builder())
    convolutions = network.fields["modules"][2].fields["modules"]
    convolutions[2] = Builder().module("Tanh")
    with pytest.raises(
        ValueError, match=r"Expected Threshold as module 2 .*\(Tanh\)"
    ):
        load_reed_text_encoder(written(network))


def test_a_generator_is_refused(written):
    with pytest.raises(ValueError, match="Identity as module 1 .*encoder.t7"):
        load_reed_text_encoder(written(generator(Builder())))


@pytest.mark.parametrize(
    "value",
    [1.0, LuaTable(), LuaTable(protos=1), LuaTable(protos=LuaTable())],
)
def test_files_without_an_encoder_are_refused(written, value):
    with pytest.raises(ValueError, match="a module of a Torch network .*encod"):
        load_reed_text_encoder(written(value))
