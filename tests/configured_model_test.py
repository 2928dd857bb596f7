import copy

import keras
import pytest

from keras_t2i import Generator
from keras_t2i import StyleEncoder
from keras_t2i.configured_model import ConfiguredModel
from keras_t2i.text import image_encoder
from tests.tiny_models import tiny_discriminator
from tests.tiny_models import tiny_gan
from tests.tiny_models import tiny_generator
from tests.tiny_models import tiny_modulated_generator
from tests.tiny_models import tiny_style_encoder
from tests.tiny_models import tiny_text_encoder


class Scaled(ConfiguredModel):
    """One dense layer, as a model of its arguments."""

    def __init__(self, units, sizes=(1, 2), **kwargs):
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None))
        inputs = keras.Input((3,))
        outputs = keras.layers.Dense(units, dtype=policy)(inputs)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.set_arguments(policy, units=units, sizes=sizes)


def test_config_is_that_of_the_arguments():
    model = Scaled(4, sizes=(5, 6), name="mine", trainable=False)
    assert (model.units, model.sizes) == (4, (5, 6))
    config = model.get_config()
    assert config.pop("dtype")["config"] == {"name": "float32"}
    assert config == {
        "name": "mine",
        "trainable": False,
        "units": 4,
        "sizes": (5, 6),
    }


def test_config_makes_an_equal_model():
    model = Scaled(4, name="mine", trainable=False)
    copy = Scaled.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert copy.trainable_variables == []
    assert copy.output_shape == (None, 4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_policy_is_kept_against_a_global_one(policy):
    model = Scaled(4, dtype=policy)
    keras.mixed_precision.set_dtype_policy("float64")
    copy = Scaled.from_config(model.get_config())
    assert copy.dtype_policy.name == policy
    assert copy.layers[-1].dtype_policy.name == policy


@pytest.fixture
def keras_config():
    yield keras.config
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize(
    "make",
    [
        tiny_generator,
        tiny_modulated_generator,
        tiny_discriminator,
        tiny_style_encoder,
        tiny_text_encoder,
        lambda: image_encoder(32, 16, 4),
    ],
)
@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        (
            "image_data_format",
            "channels_first",
            "image format.*'channels_last'",
        ),
        ("floatx", "float16", "float type of Keras must be 'float32'"),
        ("floatx", "float64", "float type of Keras must be 'float32'"),
        ("dtype_policy", "float16", "weights must be 'float32'"),
        ("dtype_policy", "bfloat16", "weights must be 'float32'"),
    ],
)
def test_what_no_network_can_do_is_refused(
    keras_config, make, setting, value, message
):
    getattr(keras_config, f"set_{setting}")(value)
    with pytest.raises(ValueError, match=f"{message}.*Received: '{value}'"):
        make()
    getattr(keras_config, f"set_{setting}")(
        "channels_last" if setting == "image_data_format" else "float32"
    )
    make()


def test_a_type_of_weights_that_is_given_is_refused_too():
    with pytest.raises(ValueError, match="weights.*Received: 'float16'"):
        tiny_text_encoder(dtype="float16")


def test_arguments_that_are_not_there_are_named():
    with pytest.raises(ValueError, match="`Scaled` has no argument 'unit'"):
        Scaled(4, unit=5)
    with pytest.raises(ValueError, match="`Generator` has no argument 'wide'"):
        tiny_generator(wide=4)


@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_counts_are_whole_numbers(value):
    with pytest.raises(ValueError, match=f"`width` must be.*: {value}"):
        Generator(32, value)
    with pytest.raises(ValueError, match=f"`noise_dim` must be.*: {value}"):
        StyleEncoder(32, width=2, noise_dim=value)


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (tiny_generator, "convolution_4"),
        (tiny_text_encoder, "convolution_2"),
        (tiny_discriminator, "trunk/convolution_16"),
        (tiny_discriminator, "head"),
    ],
)
def test_frozen_layers_are_still_frozen_when_loaded(make, path, tmp_path):
    def found(model):
        for name in path.split("/"):
            model = model.get_layer(name)
        return model

    model = make()
    found(model).trainable = False
    num_trained = len(model.trainable_weights)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not found(loaded).trainable
    assert len(loaded.trainable_weights) == num_trained
    loaded.trainable = False
    loaded.trainable = True
    assert "frozen_layers" not in loaded.get_config()


@pytest.mark.parametrize(
    "make", [tiny_text_encoder, tiny_discriminator, tiny_modulated_generator]
)
def test_a_network_frozen_as_a_whole_stays_frozen_when_made_again(make):
    model = make()
    model.trainable = False
    for again in (
        make(trainable=False),
        type(model).from_config(model.get_config()),
        copy.deepcopy(model),
    ):
        assert not again.trainable
        # A model around it looks at the weights themselves.
        assert not any(weight.trainable for weight in again.weights)
        again.trainable = True
        assert len(again.trainable_weights) == len(make().trainable_weights)


def test_a_frozen_network_of_a_gan_is_frozen_when_loaded(tmp_path):
    gan = tiny_gan()
    gan.discriminator.trainable = False
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert len(loaded.trainable_weights) == len(gan.trainable_weights)
    assert loaded.discriminator.trainable_weights == []
