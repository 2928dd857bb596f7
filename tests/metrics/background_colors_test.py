import numpy as np
import pytest

from keras_t2i import blooms
from keras_t2i.metrics import background_colors


def test_the_border_is_the_background():
    # 0.04 of 100 pixels: four on each side.
    image = np.zeros((100, 120, 3), "uint8")
    image[:] = (10, 20, 30)
    image[4:-4, 4:-4] = 255
    np.testing.assert_allclose(background_colors(image[None]), [[10, 20, 30]])
    image[3, 50] = 255
    assert background_colors(image[None])[0, 0] > 10


def test_masks():
    images = np.zeros((2, 4, 4, 3), "uint8")
    images[0, 0, 0], images[0, 3, 3] = (8, 0, 0), (0, 4, 0)
    images[1] = 250
    masks = np.zeros((2, 4, 4), bool)
    masks[0, 0, 0] = masks[0, 3, 3] = masks[1, 2] = True
    colors = background_colors(images, masks)
    np.testing.assert_array_equal(colors, [[4, 2, 0], [250, 250, 250]])


def test_blooms_of_one_background_are_alike():
    drawn = [blooms.bloom_at("test", index) for index in range(40)]
    colors = background_colors(np.stack([bloom.image for bloom in drawn]))
    names = np.array([bloom.style.background for bloom in drawn])
    centers = {name: colors[names == name].mean(axis=0) for name in set(names)}
    assert len(centers) == 4
    for color, name in zip(colors, names):
        distances = {
            other: np.linalg.norm(color - center)
            for other, center in centers.items()
        }
        assert min(distances, key=distances.get) == name


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (np.zeros((4, 4, 3), "uint8"), None, r"uint8 of shape \(4, 4, 3\)"),
        (np.zeros((1, 4, 4, 3)), None, "float64 of shape"),
        (
            np.zeros((1, 4, 4, 3), "uint8"),
            np.ones((1, 4, 4), int),
            r"bool of shape \(1, 4, 4\).*int64",
        ),
        (
            np.zeros((2, 4, 4, 3), "uint8"),
            np.stack([np.ones((4, 4), bool), np.zeros((4, 4), bool)]),
            "none for picture 1",
        ),
    ],
)
def test_what_does_not_fit(images, masks, message):
    with pytest.raises(ValueError, match=message):
        background_colors(images, masks)
