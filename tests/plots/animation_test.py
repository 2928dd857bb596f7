import io

import numpy as np
import pytest
from PIL import Image

from keras_t2i.plots import animated_gif


def test_gif_holds_the_images():
    images = np.zeros((4, 9, 7, 3), "uint8")
    images[:, :4] = (250, 0, 0)
    for number, image in enumerate(images):
        image[:, number] = (0, 200, 60)
    with Image.open(io.BytesIO(animated_gif(images, 0.25))) as gif:
        assert (gif.format, gif.size, gif.n_frames) == ("GIF", (7, 9), 4)
        # Forever.
        assert gif.info["loop"] == 0
        for number, image in enumerate(images):
            gif.seek(number)
            assert gif.info["duration"] == 250
            shown = np.asarray(gif.convert("RGB"), int)
            assert np.abs(shown - image).max() <= 2


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (np.zeros((0, 8, 8, 3), "uint8"), r"uint8 of shape \(0, 8"),
        (np.zeros((1, 2, 8, 8, 3), "uint8"), r"uint8 of shape \(1, 2, 8"),
    ],
)
def test_no_images(images, received):
    with pytest.raises(ValueError, match=f"must .*Received: {received}"):
        animated_gif(images)


def test_images_that_are_alike_have_the_time_of_all():
    images = np.zeros((8, 8, 8, 3), "uint8")
    with Image.open(io.BytesIO(animated_gif(images, 80.0))) as gif:
        assert gif.info["duration"] == 640_000
    with pytest.raises(ValueError, match="0.01 to 81.88.*Received: 100.0"):
        animated_gif(images, 100.0)


@pytest.mark.parametrize("seconds", [-1.0, 0.004, 700.0, float("nan")])
def test_times_that_a_gif_cannot_have(seconds):
    images = np.zeros((2, 8, 8, 3), "uint8")
    with pytest.raises(
        ValueError, match="`seconds_per_image` must be a number from"
    ):
        animated_gif(images, seconds)
