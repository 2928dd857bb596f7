import io
import sys

import numpy as np
import PIL.Image
import pytest

from keras_t2i.plots import image_grid


def _images(rows=2, columns=3, size=16):
    generator = np.random.default_rng(0)
    shape = (rows, columns, size, size, 3)
    return generator.integers(0, 256, shape, dtype="uint8")


def _pixels(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.array(PIL.Image.open(file))[..., :3]


def test_one_axes_a_picture():
    images = _images()
    figure = image_grid(images, ["a rose", "a tulip"])
    assert len(figure.axes) == 6
    for axes, image in zip(figure.axes, images.reshape(6, 16, 16, 3)):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)
        assert not axes.axison


def test_rows_and_columns_are_in_order():
    images = np.zeros((2, 2, 4, 4, 3), "uint8")
    colors = [[(250, 0, 0), (0, 250, 0)], [(0, 0, 250), (250, 250, 0)]]
    images[:] = np.array(colors)[:, :, None, None]
    pixels = _pixels(image_grid(images, ["a", "b"]))
    assert pixels.shape[0] == 2 * 128
    left = pixels.shape[1] - 2 * 128
    centers = pixels[64::128, left + 64 :: 128]
    np.testing.assert_array_equal(centers, colors)


@pytest.mark.parametrize("size", [4, 32, 64, 100, 128, 256])
def test_no_pixel_is_lost(size):
    images = _images(size=size)
    figure = image_grid(images, ["a", "b"], column_titles=["c"] * 3)
    pixels = _pixels(figure)
    # Each pixel is a square of as many as fill about an inch.
    times = {4: 30, 32: 4, 64: 2}.get(size, 1)
    for axes, image in zip(figure.axes, images.reshape(-1, *images.shape[2:])):
        corner = axes.get_position()
        left = round(corner.x0 * pixels.shape[1])
        top = round((1 - corner.y1) * pixels.shape[0])
        side = times * size
        np.testing.assert_array_equal(
            pixels[top : top + side, left : left + side],
            image.repeat(times, axis=0).repeat(times, axis=1),
        )


def test_captions_of_any_kind():
    for captions in (
        ("a rose", "a tulip"),
        np.array(["a rose", "a tulip"]),
        [b"a rose", "a tulip"],
    ):
        figure = image_grid(
            _images(), captions, column_titles=np.array(["x"] * 3)
        )
        texts = [text.get_text() for text in figure.texts]
        assert texts == ["a rose", "a tulip"]


def test_captions_stand_left_of_their_rows():
    def text_columns(captions):
        images = np.full((2, 1, 4, 4, 3), 255, "uint8")
        pixels = _pixels(image_grid(images, captions))
        upper, lower = np.split(pixels[:, :-128], 2)
        return (upper < 128).any(), (lower < 128).any()

    assert text_columns(["a rose", ""]) == (True, False)
    assert text_columns(["", "a rose"]) == (False, True)


def test_captions_are_shown_as_they_are():
    # The first would be a broken formula between its dollar signs.
    captions = ["costs $\\frac$5 {really}", "_a_ \\frac %d" + " long" * 100]
    figure = image_grid(_images(), captions)
    texts = [text.get_text() for text in figure.texts]
    assert texts[0] == captions[0]
    # Wrapped, and cut after six lines.
    assert texts[1].count("\n") == 5
    assert max(map(len, texts[1].split("\n"))) <= 36
    _pixels(figure)


def test_column_titles():
    titles = ["GAN", "GAN-CLS", "GAN-INT"]
    figure = image_grid(_images(), ["a", "b"], column_titles=titles)
    assert [axes.get_title() for axes in figure.axes] == titles + [""] * 3
    without = image_grid(_images(), ["a", "b"])
    assert figure.get_figheight() > without.get_figheight()


def test_the_same_images_give_the_same_file(tmp_path):
    for name in ("a.png", "b.png"):
        image_grid(_images(), ["a", "b"]).savefig(tmp_path / name)
    first, second = (tmp_path / name for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()


def test_no_figure_is_left_open():
    # A figure that pyplot knows would stay in memory for ever.
    image_grid(_images(), ["a", "b"])
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (_images()[0], r"uint8 of shape \(3, 16, 16, 3\)"),
        (_images() / 255.0, r"float64 of shape \(2, 3, 16, 16, 3\)"),
    ],
)
def test_other_images_are_refused(images, received):
    with pytest.raises(ValueError, match=f"uint8 of .*Received: {received}"):
        image_grid(images, ["a", "b"])


def test_captions_must_fit():
    with pytest.raises(ValueError, match="each of 2 rows. Received: 1"):
        image_grid(_images(), ["a"])


def test_column_titles_must_fit():
    with pytest.raises(ValueError, match="each of 3 columns. Received: 1"):
        image_grid(_images(), ["a", "b"], column_titles=["GAN"])
