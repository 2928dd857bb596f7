import numpy as np
import pytest

from keras_t2i.datasets import blooms


def test_flowers_are_whole_and_keep_clear_of_the_border():
    rng = np.random.default_rng(0)
    for _ in range(300):
        style = blooms.random_style(rng)
        assert 0.28 <= style.radius <= 0.42
        for center in (style.center_x, style.center_y):
            assert style.radius + 0.04 <= center <= 1 - style.radius - 0.04


def test_every_background_occurs():
    rng = np.random.default_rng(0)
    drawn = {blooms.random_style(rng).background for _ in range(60)}
    assert drawn == set(blooms.BACKGROUNDS)


def test_unusable_styles_are_refused():
    with pytest.raises(ValueError, match="Received: 'moon'"):
        blooms.Style("moon", 0.5, 0.5, 0.4, 0.0)
    with pytest.raises(ValueError, match="`radius`.*Received: 0"):
        blooms.Style("sky", 0.5, 0.5, 0, 0.0)
