"""What the figures made of rows of images show, and where."""

import io
import sys

import matplotlib
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_t2i.metrics import RocCurve
from keras_t2i.plots import image_grid
from keras_t2i.plots import interpolation_strips
from keras_t2i.plots import roc_curves
from keras_t2i.plots import transfer_grid
from keras_t2i.plots import variant_comparison

LONG = "this flower has five pointed petals that are red, and a yellow center"


def _images(*shape, size=8):
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (*shape, size, size, 3), dtype="uint8")


def _shown(figure, rows, columns, size=8):
    """The pixels of the images, whose squares are enlarged to 120 pixels."""
    (axes,) = figure.axes
    shown = np.array(axes.images[0].get_array())
    shown = shown.reshape(rows, size * 15 + 8, columns, size * 15 + 8, 3)
    # Around each image is a white gap of four pixels.
    assert (shown[:, [0, 3, -4, -1]] == 255).all()
    assert (shown[:, :, :, [0, 3, -4, -1]] == 255).all()
    images = shown[:, 4:-4, :, 4:-4].swapaxes(1, 2)
    squares = images.reshape(rows, columns, size, 15, size, 15, 3)
    assert (squares == squares[:, :, :, :1, :, :1]).all()
    return squares[:, :, :, 0, :, 0]


def _assert_inside(figure):
    """No words are cut off at the edge, or lie over a picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    width, height = canvas.get_width_height()
    extents = [axes.get_window_extent() for axes in figure.axes]
    for text in figure.texts:
        box = text.get_window_extent(renderer)
        assert 0 <= box.x0 and box.x1 <= width, text.get_text()
        assert 0 <= box.y0 and box.y1 <= height, text.get_text()
        for extent in extents:
            overlaps = (
                box.x0 < extent.x1
                and extent.x0 < box.x1
                and box.y0 < extent.y1
                and extent.y0 < box.y1
            )
            assert not overlaps, text.get_text()


def _words(text):
    return " ".join(text.split())


def test_variant_comparison():
    images = _images(2, 3)
    captions = ["a rose", LONG, "costs $\\frac$5"]
    figure = variant_comparison(images, captions, ["GAN", "GAN-INT-CLS"])
    np.testing.assert_array_equal(_shown(figure, 2, 3), images)
    names, titles = figure.texts[:2], figure.texts[2:]
    assert [text.get_text() for text in names] == ["GAN", "GAN-INT-CLS"]
    assert [_words(text.get_text()) for text in titles] == captions
    assert max(map(len, titles[1].get_text().split("\n"))) <= 15
    # The first row is above, and each title over the middle of its column.
    first, second = (text.get_position() for text in names)
    assert first[1] > second[1]
    block = figure.axes[0].get_position()
    for column, title in enumerate(titles):
        x, y = title.get_position()
        assert x == pytest.approx(block.x0 + (column + 0.5) / 3 * block.width)
        assert y > block.y1
    _assert_inside(figure)


def test_transfer_grid():
    styles, images = _images(2), _images(2, 3)
    figure = transfer_grid(styles, images, ["a rose", LONG, "an iris"])
    shown = _shown(figure, 2, 4)
    # Style images down the side.
    np.testing.assert_array_equal(shown[:, 0], styles)
    np.testing.assert_array_equal(shown[:, 1:], images)
    titles = [_words(text.get_text()) for text in figure.texts]
    assert titles == ["style of", "a rose", LONG, "an iris"]
    left = [text.get_position()[0] for text in figure.texts]
    assert left == sorted(left)
    _assert_inside(figure)


def test_interpolation_strips():
    images = _images(2, 4)
    figure = interpolation_strips(images, ["a rose", LONG], [LONG, "an iris"])
    np.testing.assert_array_equal(_shown(figure, 2, 4), images)
    texts = {_words(text.get_text()): text for text in figure.texts}
    assert set(texts) == {"a rose", LONG, "an iris"}
    block = figure.axes[0].get_position()
    assert texts["a rose"].get_position()[0] < block.x0
    assert texts["a rose"].get_position()[1] == pytest.approx(
        block.y0 + 0.75 * block.height
    )
    assert texts["an iris"].get_position()[0] > block.x1
    _assert_inside(figure)


def test_very_long_captions_are_cut_short():
    figure = variant_comparison(_images(1, 1), ["petals " * 100], ["GAN"])
    title = figure.texts[1].get_text()
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


def test_two_figures_of_the_same_images_are_equal(tmp_path):
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


def _caption_images(rows=2, columns=3, size=16):
    generator = np.random.default_rng(0)
    shape = (rows, columns, size, size, 3)
    return generator.integers(0, 256, shape, dtype="uint8")


def _pixels(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.array(PIL.Image.open(file))[..., :3]


def test_rows_and_columns_are_in_order():
    images = np.zeros((2, 2, 4, 4, 3), "uint8")
    colors = [[(250, 0, 0), (0, 250, 0)], [(0, 0, 250), (250, 250, 0)]]
    images[:] = np.array(colors)[:, :, None, None]
    pixels = _pixels(image_grid(images, ["a", "b"]))
    assert pixels.shape[0] == 2 * 128
    left = pixels.shape[1] - 2 * 128
    centers = pixels[64::128, left + 64 :: 128]
    np.testing.assert_array_equal(centers, colors)


def test_settings_of_the_user_change_no_pixel():
    images = np.zeros((2, 1, 4, 4, 3), "uint8")
    images[1] = 200
    expected = _pixels(image_grid(images, ["a", "b"]))
    settings = {"image.origin": "lower", "savefig.bbox": "tight"}
    with matplotlib.rc_context({**settings, "savefig.dpi": 300}):
        pixels = _pixels(image_grid(images, ["a", "b"]))
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("size", [4, 32, 64, 100, 128, 256])
def test_no_pixel_is_lost(size):
    images = _caption_images(size=size)
    figure = image_grid(images, ["a", "b"], column_titles=["c"] * 3)
    pixels = _pixels(figure)
    # Each pixel is a square of as many as fill about an inch.
    times = {4: 30, 32: 4, 64: 2}.get(size, 1)
    side = times * size
    (axes,) = figure.axes
    assert not axes.axison
    corner = axes.get_position()
    for row, column in np.ndindex(2, 3):
        left = round(corner.x0 * pixels.shape[1]) + column * (side + 8) + 4
        top = round((1 - corner.y1) * pixels.shape[0]) + row * (side + 8) + 4
        np.testing.assert_array_equal(
            pixels[top : top + side, left : left + side],
            images[row, column].repeat(times, axis=0).repeat(times, axis=1),
        )


def test_captions_of_any_kind():
    for captions in (
        ("a rose", "a tulip"),
        np.array(["a rose", "a tulip"]),
        [b"a rose", "a tulip"],
    ):
        figure = image_grid(
            _caption_images(), captions, column_titles=np.array(["x"] * 3)
        )
        texts = [text.get_text() for text in figure.texts]
        assert texts == ["a rose", "a tulip", "x", "x", "x"]


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
    figure = image_grid(_caption_images(), captions)
    texts = [text.get_text() for text in figure.texts]
    assert texts[0] == captions[0]
    # Wrapped, and cut after six lines.
    assert texts[1].count("\n") == 5
    assert max(map(len, texts[1].split("\n"))) <= 36
    _pixels(figure)


def test_characters_that_the_font_lacks_are_boxes():
    # An emoji, and letters whose order matplotlib does not know. No warning of
    # either passes: here it would be an error.
    images = np.full((1, 1, 4, 4, 3), 255, "uint8")
    for caption in ("\N{ROSE}", "\N{ORIYA LETTER A}"):
        pixels = _pixels(image_grid(images, [caption]))
        assert (pixels[:, :-128] < 128).any()


def test_column_titles():
    titles = ["GAN", "GAN-CLS", "GAN-INT"]
    figure = image_grid(_caption_images(), ["a", "b"], column_titles=titles)
    assert [text.get_text() for text in figure.texts[2:]] == titles
    without = image_grid(_caption_images(), ["a", "b"])
    assert figure.get_figheight() > without.get_figheight()


def test_the_same_images_give_the_same_file(tmp_path):
    for name in ("a.png", "b.png"):
        image_grid(_caption_images(), ["a", "b"]).savefig(tmp_path / name)
    first, second = (tmp_path / name for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()


def test_no_image_grid_is_left_open():
    # A figure that pyplot knows would stay in memory for ever.
    image_grid(_caption_images(), ["a", "b"])
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (_caption_images()[0], r"uint8 of shape \(3, 16, 16, 3\)"),
        (_caption_images() / 255.0, r"float64 of shape \(2, 3, 16, 16, 3\)"),
        (_caption_images()[:, :0], r"uint8 of shape \(2, 0, 16, 16, 3\)"),
    ],
)
def test_other_images_are_refused(images, received):
    with pytest.raises(ValueError, match=f"uint8 of .*Received: {received}"):
        image_grid(images, ["a", "b"])


def test_captions_must_fit():
    with pytest.raises(ValueError, match="each of 2 rows. Received: 1"):
        image_grid(_caption_images(), ["a"])


@pytest.mark.parametrize("caption", [None, 5])
def test_captions_must_be_texts(caption):
    with pytest.raises(ValueError, match=f"hold texts. Received: {caption}"):
        image_grid(_caption_images(), ["a", caption])


def test_captions_that_generate_takes_can_be_shown():
    captions = tf.constant(["a", "b"])
    image_grid(_caption_images(), captions).savefig(io.BytesIO())
    image_grid(_caption_images(), ["a", "b\ud800"]).savefig(io.BytesIO())


def test_column_titles_must_fit():
    with pytest.raises(ValueError, match="each of 3 columns. Received: 1"):
        image_grid(_caption_images(), ["a", "b"], column_titles=["GAN"])
