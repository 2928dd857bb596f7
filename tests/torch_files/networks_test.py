import tracemalloc

import numpy as np
import pytest

from keras_t2i import Discriminator
from keras_t2i import Generator
from keras_t2i.torch_files import load_reed_discriminator
from keras_t2i.torch_files import load_reed_generator
from tests.formats.t7_writer import LuaTable
from tests.formats.t7_writer import lua_list
from tests.formats.t7_writer import t7_bytes
from tests.formats.t7_writer import tensor
from tests.torch_files.numpy_torch import array_of
from tests.torch_files.numpy_torch import forward
from tests.torch_files.torch_networks import Builder
from tests.torch_files.torch_networks import discriminator
from tests.torch_files.torch_networks import generator

BUILDERS = {
    "nn": {},
    "cudnn": {"package": "cudnn"},
    "matrices": {"matrices": True},
    "old batch norm": {"old_batch_norm": True},
}


@pytest.fixture
def written(tmp_path):
    """Writes a network, and returns the path."""

    def written(network):
        path = tmp_path / "net.t7"
        path.write_bytes(t7_bytes(network))
        return path

    return written


def _inputs(seed=1):
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(3, 5)).astype("float32")
    text = generator.normal(size=(3, 7)).astype("float32")
    images = generator.uniform(-1, 1, (3, 64, 64, 3)).astype("float32")
    return noise, text, images


def _module(network, *indices):
    for index in indices:
        network = network.fields["modules"][index]
    return network


@pytest.mark.parametrize("options", BUILDERS.values(), ids=BUILDERS)
def test_generator_against_numpy(written, options):
    network = generator(Builder(**options))
    loaded = load_reed_generator(written(network))
    assert type(loaded) is Generator
    assert loaded.get_config() == {
        **loaded.get_config(),
        "image_size": 64,
        "width": 2,
        "residual_blocks": True,
        "text_embedding_dim": 7,
        "text_projection_dim": 6,
        "noise_dim": 5,
    }
    noise, text, _ = _inputs()
    expected = forward(network, [noise, text]).transpose(0, 2, 3, 1)
    images = loaded({"noise": noise, "text_embeddings": text}, training=False)
    assert 0.1 < np.std(expected) < 0.9
    np.testing.assert_allclose(images, expected, atol=1e-4)


@pytest.mark.parametrize("options", BUILDERS.values(), ids=BUILDERS)
def test_discriminator_against_numpy(written, options):
    network = discriminator(Builder(**options))
    loaded = load_reed_discriminator(written(network))
    assert type(loaded) is Discriminator
    assert loaded.get_config() == {
        **loaded.get_config(),
        "image_size": 64,
        "width": 2,
        "fusion_size": 4,
        "as_released": True,
        "text_embedding_dim": 7,
        "text_projection_dim": 6,
    }
    _, text, images = _inputs()
    # In double precision, as a sigmoid near 0 or 1 says little of its logit.
    chances = forward(
        network, [images.transpose(0, 3, 1, 2).astype("f8"), text.astype("f8")]
    )
    expected = np.log(chances / (1 - chances))
    logits = loaded({"images": images, "text_embeddings": text}, training=False)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_other_widths(written):
    loaded = load_reed_generator(
        written(generator(Builder(), width=3, noise=1, projection=4, text=2))
    )
    assert (loaded.width, loaded.noise_dim) == (3, 1)
    assert (loaded.text_projection_dim, loaded.text_embedding_dim) == (4, 2)


def test_convolutions_may_have_no_bias(written):
    network = generator(Builder())
    del _module(network, 3).fields["bias"]
    load_reed_generator(written(network))


def test_the_coco_discriminator_is_refused(written):
    path = written(discriminator(Builder(), coco=True))
    with pytest.raises(ValueError, match="batch norm on .*net.t7.*as for COCO"):
        load_reed_discriminator(path)


def test_a_discriminator_without_residual_block_is_refused(written):
    # As the code of before October 2016 made it.
    path = written(discriminator(Builder(), skip=False))
    with pytest.raises(
        ValueError, match="SpatialConvolution as module 10 .*LeakyReLU"
    ):
        load_reed_discriminator(path)


def test_the_large_generator_is_refused(written):
    path = written(generator(Builder(), large=True))
    with pytest.raises(ValueError, match="Expected ReLU .*SpatialConvolution"):
        load_reed_generator(path)


def test_the_other_network_is_refused(written):
    path = written(discriminator(Builder()))
    with pytest.raises(ValueError, match="Linear as module 1 .*the generator"):
        load_reed_generator(path)
    path = written(generator(Builder()))
    with pytest.raises(
        ValueError, match="the discriminator .*Received: .*Linear"
    ):
        load_reed_discriminator(path)


def test_a_part_of_a_network_is_refused(written):
    network = generator(Builder())
    del network.fields["modules"][len(network.fields["modules"])]
    with pytest.raises(ValueError, match="Expected Tanh.*Received: no more"):
        load_reed_generator(written(network))


def test_a_longer_network_is_refused(written):
    build = Builder()
    network = build.sequential(generator(build), build.activation("Tanh"))
    with pytest.raises(ValueError, match="Received: one more, .*module 2"):
        load_reed_generator(written(network))


def _with_bias(written, values):
    build = Builder()
    network = generator(build)
    _module(network, 3).fields["bias"] = build.parameter(values)
    return written(network)


def test_what_the_last_update_made_of_a_bias_is_left_out(written):
    """The training has set them to zero before each forward pass."""
    signs = np.resize([1.0, -1.0], 16)
    loaded, expected = (
        load_reed_generator(_with_bias(written, values))
        for values in (3e-4 * signs, 0.0 * signs)
    )
    for weight, value in zip(loaded.get_weights(), expected.get_weights()):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_a_bias_is_refused(written, value):
    path = _with_bias(written, np.full(16, value))
    with pytest.raises(
        ValueError, match=r"zeros at .*module 3 \(SpatialFullConvolution\)"
    ):
        load_reed_generator(path)


def test_a_wrong_shape_is_named(written):
    build = Builder()
    network = generator(build)
    _module(network, 4).fields["running_mean"] = build.buffer(np.ones(15))
    with pytest.raises(
        ValueError,
        match=r"`running_mean` to have the shape \(16,\) at .*net.t7.*module 4 "
        r"\(SpatialBatchNormalization\). Received: \(15,\)",
    ):
        load_reed_generator(written(network))


def test_a_wrong_width_is_refused_before_a_network_is_made(written):
    # One of a hundred times the width: a generator like that has 10^10 weights.
    build = Builder()
    network = generator(build)
    last = _module(network, len(network.fields["modules"]) - 1)
    last.fields["weight"] = build.buffer(np.zeros((20_000, 3, 4, 4)))
    with pytest.raises(ValueError, match="shape .*160000"):
        load_reed_generator(written(network))


def test_missing_noise_is_refused(written):
    network = generator(Builder(), noise=0)
    with pytest.raises(ValueError, match="more than 6 inputs.*Received: 6"):
        load_reed_generator(written(network))


@pytest.mark.parametrize(
    ("place", "name", "value", "message"),
    [
        ((1, 2, 2), "negval", 0.01, "0.2 as `negval`.*Received: 0.01"),
        ((4,), "eps", 1e-3, "1e-05 as `eps`.*Received: 0.001"),
        ((4,), "eps", "1e-5", "a number `eps`.*Received: bytes"),
        ((4,), "weight", None, "an array `weight`.*Received: NoneType"),
        ((4,), "running_var", None, "an array `running_std`"),
        (
            (4,),
            "weight",
            tensor(np.full(16, np.nan, "f4")),
            "finite numbers as `weight` at .*module 4 .*Received: NaN",
        ),
        ((3,), "weight", "abc", "an array `weight`.*Received: bytes"),
        ((), "modules", 1, "a container of .*Received: float"),
        ((1,), "modules", lua_list(1, 2), "a module .*module 1.*float"),
        ((1,), "modules", LuaTable({2: 1}), "a module .*module 1.*NoneType"),
    ],
)
def test_damaged_modules(written, place, name, value, message):
    network = generator(Builder())
    _module(network, *place).fields[name] = value
    with pytest.raises(ValueError, match=message):
        load_reed_generator(written(network))


def test_numbers_of_another_type_are_refused(written):
    network = generator(Builder())
    _module(network, 4).fields["weight"] = tensor(
        np.ones(16, "i4"), "torch.IntTensor"
    )
    with pytest.raises(ValueError, match="floating point.*ndarray int32"):
        load_reed_generator(written(network))


def test_a_network_that_holds_itself_is_refused(written):
    network = generator(Builder())
    network.fields["modules"][1] = network
    with pytest.raises(ValueError, match="at most 1000 modules .*holds itself"):
        load_reed_generator(written(network))


def test_a_network_that_holds_itself_often_takes_little_memory(written):
    network = Builder().sequential()
    network.fields["modules"].update(lua_list(*60 * [network]))
    path = written(network)
    tracemalloc.start()
    with pytest.raises(ValueError, match="at most 1000 modules .*holds itself"):
        load_reed_generator(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # As many modules as are allowed, and their places in the file.
    assert peak < 3_000_000


def test_a_table_is_no_network(written):
    with pytest.raises(ValueError, match="a module of a Torch network .*Table"):
        load_reed_generator(written(LuaTable({"netG": 1})))


def test_double_precision(written):
    build = Builder()
    network = generator(build)
    expected = np.array(load_reed_generator(written(network)).weights[0])
    fields = _module(network, 1, 2, 1).fields
    fields["weight"] = tensor(
        array_of(fields["weight"]).astype("f8"), "torch.DoubleTensor"
    )
    loaded = load_reed_generator(written(network))
    np.testing.assert_array_equal(loaded.weights[0], expected)
