import dataclasses

import numpy as np
import pytest

from keras_t2i.datasets import blooms

CONTENT = blooms.Content("red", "white", 4, "round")
STYLE = blooms.Style("soil", 0.5, 0.4, radius=0.32, rotation=0.0)


def draw(content=CONTENT, style=STYLE, image_size=64, seed=0):
    return blooms.draw_bloom(content, style, image_size, seed)


@pytest.mark.parametrize("image_size", [32, 50, 64, 128, 256])
def test_pictures_are_uint8_of_the_size_asked_for(image_size):
    image = draw(image_size=image_size)
    assert image.shape == (image_size, image_size, 3)
    assert image.dtype == np.uint8


def test_same_arguments_give_the_same_bytes():
    assert draw().tobytes() == draw().tobytes()
    assert draw().tobytes() != draw(seed=1).tobytes()


def test_colors_are_where_they_belong():
    image = draw(image_size=100).astype(int)
    # Center at (50, 40); petals to the right, below, left and above it.
    np.testing.assert_allclose(image[40, 50], (248, 246, 240), atol=20)
    for row, column in [(40, 70), (60, 50), (40, 30), (20, 50)]:
        red, green, blue = image[row, column]
        assert red > 150 and green < 70 and blue < 70
    # Between two petals, and in the corner: soil.
    for row, column in [(17, 73), (5, 5), (95, 95)]:
        np.testing.assert_allclose(image[row, column], (84, 60, 44), atol=45)


def test_rotation_turns_the_petals():
    turned = draw(
        style=dataclasses.replace(STYLE, rotation=np.pi / 4), image_size=100
    )
    # Where there was soil between two petals is now a petal.
    red, green, _ = turned[25, 65].astype(int)
    assert red > 150 and green < 70
    red, green, _ = turned[40, 76].astype(int)
    assert red < 130


def test_a_rim_sets_a_center_off_from_petals_of_its_color():
    content = blooms.Content("yellow", "yellow", 8, "round")
    image = draw(content, image_size=128).astype(int)
    # Center radius: 0.28 * 0.32 of 128 pixels.
    row, column, reach = round(0.4 * 128), 64, 0.28 * 0.32 * 128
    brightness = image[row, column : column + 30].sum(axis=-1)
    rim = brightness[round(reach) - 2 : round(reach) + 2].min()
    assert rim < 0.65 * brightness[0]
    assert rim < 0.65 * brightness[round(1.8 * reach)]


def test_another_size_is_the_same_picture():
    small = draw(image_size=32).astype(float)
    large = draw(image_size=128).astype(float)
    shrunk = large.reshape(32, 4, 32, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - shrunk).mean() < 3


@pytest.mark.parametrize("image_size", [31, 257, 0, -64, 64.5, "64"])
def test_other_sizes_are_refused(image_size):
    with pytest.raises(ValueError, match=f"Received: {image_size!r}"):
        draw(image_size=image_size)


def test_negative_seeds_are_refused():
    with pytest.raises(ValueError, match="`seed`.*Received: -3"):
        draw(seed=-3)
