import keras
import numpy as np
import pytest

from keras_t2i import Recipe
from keras_t2i.models.from_recipe import networks_of_recipe
from keras_t2i.training.training_checks import check_devices
from keras_t2i.training.training_checks import check_gan_memory
from keras_t2i.training.training_checks import num_outputs
from keras_t2i.training.training_checks import without_memory
from tests.tiny_models import tiny_generator
from tests.tiny_models import tiny_text_encoder

_TINY = Recipe().override(width=2, image_size=32, batch_size=4)


def test_networks_without_memory_have_the_sizes_of_real_ones():
    encoder = tiny_text_encoder()

    def make():
        return networks_of_recipe(_TINY, encoder)

    for real, empty in zip(make(), without_memory(make)):
        assert empty.count_params() == real.count_params() > 0
        assert num_outputs(empty) == num_outputs(real)
    # Keras has forgotten them, and later variables get their values.
    kernel = keras.layers.Dense(2)
    kernel(keras.Input((3,)))
    assert np.any(np.array(kernel.kernel))


def test_outputs_of_layers():
    inputs = keras.Input((4, 4, 3))
    outputs = keras.layers.Conv2D(5, 3, padding="same")(inputs)
    outputs = keras.layers.Flatten()(outputs)
    network = keras.Model(inputs, outputs)
    assert num_outputs(network) == 4 * 4 * (3 + 5 + 5)
    assert num_outputs(tiny_generator()) > 32 * 32 * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 100000}, "`width` 100000 .*least [0-9]+,.* GiB for weights"),
        ({"width": 10**20}, "`width` 100000000000000000000 and"),
        ({"batch_size": 10**9}, "`batch_size` 1000000000, .* for a batch"),
    ],
)
def test_what_no_machine_has_the_memory_for(changes, message):
    check_gan_memory(_TINY.override(batch_size=256))
    with pytest.raises(
        ValueError, match=f"must fit into.*Received: .*{message}"
    ):
        check_gan_memory(_TINY.override(**changes))


def test_an_error_of_the_recipe_is_its_own():
    def fail():
        raise ValueError("`width` is odd")

    with pytest.raises(ValueError, match="`width` is odd"):
        without_memory(fail)


@pytest.mark.parametrize(
    ("preset", "batch_size", "num_devices", "is_refused"),
    [
        ("gan_int_cls", 1, 1, True),
        ("gan_int_cls", 2, 2, True),
        ("gan_int_cls", 2, 1, False),
        ("gan_int_cls", 4, 2, False),
        ("gan_cls", 1, 1, False),
        ("gan_int_cls_plus", 1, 1, False),
    ],
)
def test_interpolation_needs_two_rows(
    preset, batch_size, num_devices, is_refused
):
    recipe = Recipe.from_preset(preset).override(batch_size=batch_size)
    if not is_refused:
        check_devices(recipe, num_devices)
        return
    message = f"at least 2 images on each.*Received: `batch_size` {batch_size}"
    with pytest.raises(ValueError, match=message):
        check_devices(recipe, num_devices)
