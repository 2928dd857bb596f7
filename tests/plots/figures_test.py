"""What the figures made of rows of pictures show, and where."""

import io
import sys

import numpy as np
import PIL.Image
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_t2i.metrics import RocCurve
from keras_t2i.plots import interpolation_strips
from keras_t2i.plots import roc_curves
from keras_t2i.plots import transfer_grid
from keras_t2i.plots import variant_comparison

LONG = "this flower has five pointed petals that are red, and a yellow center"


def _images(*shape, size=8):
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (*shape, size, size, 3), dtype="uint8")


def _shown(figure):
    return [np.array(axes.images[0].get_array()) for axes in figure.axes]


def _assert_inside(figure):
    """No words are cut off at the edge, or lie over a picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    width, height = canvas.get_width_height()
    pictures = [axes.get_window_extent() for axes in figure.axes]
    titles = [axes.title for axes in figure.axes if axes.get_title()]
    for text in [*figure.texts, *titles]:
        box = text.get_window_extent(renderer)
        assert 0 <= box.x0 and box.x1 <= width, text.get_text()
        assert 0 <= box.y0 and box.y1 <= height, text.get_text()
        for picture in pictures:
            overlaps = (
                box.x0 < picture.x1
                and picture.x0 < box.x1
                and box.y0 < picture.y1
                and picture.y0 < box.y1
            )
            assert not overlaps, text.get_text()


def _words(text):
    return " ".join(text.split())


def test_variant_comparison():
    images = _images(2, 3)
    captions = ["a rose", LONG, "costs $\\frac$5"]
    figure = variant_comparison(images, captions, ["GAN", "GAN-INT-CLS"])
    np.testing.assert_array_equal(_shown(figure), images.reshape(6, 8, 8, 3))
    assert [text.get_text() for text in figure.texts] == ["GAN", "GAN-INT-CLS"]
    titles = [axes.get_title() for axes in figure.axes]
    assert [_words(title) for title in titles] == captions + [""] * 3
    assert max(map(len, titles[1].split("\n"))) <= 15
    _assert_inside(figure)


def test_transfer_grid():
    styles, images = _images(2), _images(2, 3)
    figure = transfer_grid(styles, images, ["a rose", LONG, "an iris"])
    shown = np.reshape(_shown(figure), (2, 4, 8, 8, 3))
    # Style pictures down the side.
    np.testing.assert_array_equal(shown[:, 0], styles)
    np.testing.assert_array_equal(shown[:, 1:], images)
    titles = [_words(axes.get_title()) for axes in figure.axes[:4]]
    assert titles == ["style of", "a rose", LONG, "an iris"]
    left = [axes.get_position().x0 for axes in figure.axes[:4]]
    assert left == sorted(left)
    _assert_inside(figure)


def test_interpolation_strips():
    images = _images(2, 4)
    figure = interpolation_strips(images, ["a rose", LONG], [LONG, "an iris"])
    np.testing.assert_array_equal(_shown(figure), images.reshape(8, 8, 8, 3))
    texts = {_words(text.get_text()): text for text in figure.texts}
    assert set(texts) == {"a rose", LONG, "an iris"}
    strip = [axes.get_position() for axes in figure.axes[:4]]
    middle = (strip[0].y0 + strip[0].y1) / 2
    assert texts["a rose"].get_position()[0] < strip[0].x0
    assert texts["a rose"].get_position()[1] == pytest.approx(middle)
    assert texts["an iris"].get_position()[0] > strip[3].x1
    _assert_inside(figure)


def test_very_long_captions_are_cut_short():
    figure = variant_comparison(_images(1, 1), ["petals " * 100], ["GAN"])
    title = figure.axes[0].get_title()
    assert title.endswith("[...]") and title.count("\n") == 7
    _assert_inside(figure)


def test_roc_curves():
    curves = {
        "GAN-INT": RocCurve(
            np.array([0.0, 0.25, 1.0]), np.array([0.0, 0.75, 1.0]), 0.75
        ),
        "text": RocCurve(np.array([0.0, 1.0]), np.array([0.0, 1.0]), 0.5),
    }
    figure = roc_curves(curves)
    (axes,) = figure.axes
    style, text, chance = axes.lines
    assert style.get_label() == "GAN-INT (AUC 0.750)"
    assert text.get_label() == "text (AUC 0.500)"
    np.testing.assert_array_equal(
        style.get_xydata(), [[0, 0], [0.25, 0.75], [1, 1]]
    )
    np.testing.assert_array_equal(chance.get_xydata(), [[0, 0], [1, 1]])
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["GAN-INT (AUC 0.750)", "text (AUC 0.500)"]
    with pytest.raises(ValueError, match="Received: none"):
        roc_curves({})


def test_the_same_pictures_give_the_same_file(tmp_path):
    contents = []
    for _ in range(2):
        file = io.BytesIO()
        figure = transfer_grid(_images(1), _images(1, 2), ["a rose", LONG])
        figure.savefig(file, format="png")
        contents.append(file.getvalue())
    assert contents[0] == contents[1]
    pixels = np.array(PIL.Image.open(io.BytesIO(contents[0])))
    assert pixels.shape[1] == 3 * 128


def test_no_figure_is_left_open():
    variant_comparison(_images(1, 1), ["a rose"], ["GAN"])
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda: variant_comparison(_images(2, 3)[0], ["a"] * 3, ["GAN"]),
            r"`images` must be uint8 of shape \(variants, captions.*\(3, 8",
        ),
        (
            lambda: variant_comparison(_images(2, 3), ["a"], ["GAN"] * 2),
            "`captions` must hold .* 3 columns. Received: 1",
        ),
        (
            lambda: variant_comparison(_images(2, 3), ["a"] * 3, ["GAN"]),
            "`variants` must hold .* 2 rows. Received: 1",
        ),
        (
            lambda: transfer_grid(_images(3), _images(2, 1), ["a"]),
            r"`style_images`.*\(2, 8, 8, 3\). Received: \(3, 8, 8, 3\)",
        ),
        (
            lambda: transfer_grid(_images(2) / 255, _images(2, 1), ["a"]),
            "`style_images` must be uint8.*float64",
        ),
        (
            lambda: transfer_grid(_images(2), _images(2, 1), ["a", "b"]),
            "`captions` must hold .* 1 columns. Received: 2",
        ),
        (
            lambda: interpolation_strips(_images(2, 3), ["a"], ["b"] * 2),
            "`labels_from` must hold .* 2 rows. Received: 1",
        ),
        (
            lambda: interpolation_strips(_images(2, 3), ["a"] * 2, ["b"]),
            "`labels_to` must hold .* 2 rows. Received: 1",
        ),
    ],
)
def test_what_does_not_fit(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
