import numpy as np
import pytest

from keras_t2i.datasets.blooms.attributes import BACKGROUND_RGB
from keras_t2i.datasets.blooms.attributes import CENTER_RGB
from keras_t2i.datasets.blooms.attributes import PETAL_RGB
from keras_t2i.datasets.blooms.color_names import nearest_color


@pytest.mark.parametrize("palette", [PETAL_RGB, CENTER_RGB, BACKGROUND_RGB])
def test_colors_keep_their_names_when_darker_or_tinted(palette):
    rng = np.random.default_rng(0)
    for name, rgb in palette.items():
        for _ in range(20):
            color = np.array(rgb) * rng.uniform(0.85, 1)
            assert nearest_color(color + rng.uniform(-8, 8, 3), palette) == name


@pytest.mark.parametrize("name", ["red", "purple", "blue", "orange"])
def test_faded_colors_keep_their_names(name):
    faded = 0.6 * np.array(PETAL_RGB[name]) + 0.4 * 128
    assert nearest_color(faded, PETAL_RGB) == name


def test_black_and_white_have_the_names_they_should():
    assert nearest_color(np.zeros(3), CENTER_RGB) == "black"
    assert nearest_color(np.full(3, 255), CENTER_RGB) == "white"
