import keras
import pytest

from keras_t2i.configured_model import ConfiguredModel


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
