import numpy as np
import pytest

from keras_t2i.metrics import grain


def _gray(luminance):
    """uint8 images of one luminance, of shape (num_images, h, w, 3)."""
    luminance = np.asarray(luminance)
    assert luminance.min() >= 0 and luminance.max() <= 255
    assert (luminance == np.round(luminance)).all()
    luminance = luminance.reshape((-1, *luminance.shape[-2:]))
    return np.repeat(luminance[..., None], 3, axis=3).astype("uint8")


def _wave(places, period):
    """1 in the first half of each period and -1 in the second."""
    return np.where(places % period < period / 2, 1, -1)


def _stripes(height, width):
    """Content without grain: a wave of period 16 and of square 1.

    Its spectrum is at the odd multiples of a sixteenth of the sampling rate,
    none of which is a multiple of a quarter.
    """
    return np.broadcast_to(_wave(np.arange(width), 16), (height, width))


_ROWS, _COLUMNS = np.indices((64, 64))
_PATTERNS = {
    "rows of period 2": _wave(_ROWS, 2),
    "columns of period 2": _wave(_COLUMNS, 2),
    "checkerboard of period 2": _wave(_ROWS, 2) * _wave(_COLUMNS, 2),
    "rows of period 4": _wave(_ROWS, 4),
    "columns of period 4": _wave(_COLUMNS, 4),
    "checkerboard of period 4": _wave(_ROWS, 4) * _wave(_COLUMNS, 4),
    "period 2 by period 4": _wave(_ROWS, 2) * _wave(_COLUMNS, 4),
    "period 4 by period 2": _wave(_ROWS, 4) * _wave(_COLUMNS, 2),
    "diagonals of period 4": _wave(_ROWS + _COLUMNS, 4),
}


@pytest.mark.parametrize("name", _PATTERNS)
@pytest.mark.parametrize("amplitude", [0, 1, 7, 60])
def test_share_of_a_pattern(name, amplitude):
    # Both are waves without a mean, so their energies are their squares.
    images = _gray(128 + 40 * _stripes(64, 64) + amplitude * _PATTERNS[name])
    expected = amplitude**2 / (amplitude**2 + 40**2)
    assert grain(images) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("height", "width"), [(32, 64), (16, 48), (36, 16)])
def test_other_shapes(height, width):
    rows, columns = np.indices((height, width))
    pattern = _wave(rows, 4) * _wave(columns, 2)
    # All energy is in the pattern, whatever the shape.
    assert grain(_gray(128 + 9 * pattern)) == pytest.approx(1)


@pytest.mark.parametrize("period", [8, 16])
def test_other_periods_are_no_grain(period):
    wave = _wave(_ROWS, period) * _wave(_COLUMNS, period)
    assert grain(_gray(128 + 100 * wave)) == pytest.approx(0, abs=1e-9)


def test_smooth_images_have_nearly_none():
    blob = 200 * np.exp(-((_ROWS - 30) ** 2 + (_COLUMNS - 20) ** 2) / 200)
    assert 0 < grain(_gray(np.round(blob))) < 1e-4


def test_the_mean_is_that_under_the_window():
    # A blob in the middle, where the window is, makes the plain mean too small.
    blob = 200 * np.exp(-((_ROWS - 32) ** 2 + (_COLUMNS - 32) ** 2) / 200)
    window = np.sin(np.pi * np.arange(64) / 64) ** 2
    window = window[:, None] * window
    content = blob - np.sum(blob * window) / np.sum(window)
    content_energy = np.sum((content * window) ** 2)
    energy = np.sum((20 * window) ** 2)
    images = _gray(np.round(blob) + 20 * ((_ROWS + _COLUMNS) % 2))
    # Of the two values of the checkerboard, 0 and 20, half is its amplitude.
    expected = energy / 4 / (energy / 4 + content_energy)
    assert grain(images) == pytest.approx(expected, rel=1e-2)


def test_edges_that_do_not_fit_together_are_no_grain():
    # Periodically continued, a ramp has a jump, of all frequencies.
    assert 0 <= grain(_gray(4 * _COLUMNS)) < 1e-5


def test_one_color_has_none():
    images = np.full((2, 64, 64, 3), [[[[13]]], [[[255]]]], "uint8")
    images[1, ..., 1] = 77
    assert grain(images) == 0


def test_noise_has_its_share_of_the_frequencies():
    # Twelve of the 64 frequencies of an axis, without the nine around 0.
    generator = np.random.default_rng(0)
    images = _gray(generator.integers(0, 256, (100, 64, 64)))
    expected = (12**2 - 9) / 64**2
    assert grain(images) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    ("channel", "weight"), [(0, 0.299), (1, 0.587), (2, 0.114)]
)
def test_luminance(channel, weight):
    images = _gray(128 + 40 * _stripes(64, 64)).astype("int64")
    images[..., channel] += 50 * _PATTERNS["checkerboard of period 2"]
    expected = (50 * weight) ** 2 / ((50 * weight) ** 2 + 40**2)
    assert grain(images.astype("uint8")) == pytest.approx(expected)


def test_images_count_alike():
    # More than are transformed at a time, the last of which are grain only.
    luminance = np.full((80, 16, 16), 100)
    luminance[70:] += 3 * _PATTERNS["rows of period 2"][:16, :16]
    # Contrast does not count.
    luminance[75:] += 50 * _PATTERNS["rows of period 2"][:16, :16]
    assert grain(_gray(luminance)) == pytest.approx(10 / 80)


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (np.zeros((1, 16, 16, 3)), r"float64 of shape \(1, 16, 16, 3\)"),
        (np.zeros((16, 16, 3), "uint8"), r"uint8 of shape \(16, 16, 3\)"),
        (np.zeros((1, 16, 16, 1), "uint8"), r"shape \(1, 16, 16, 1\)"),
        (np.zeros((0, 16, 16, 3), "uint8"), r"shape \(0, 16, 16, 3\)"),
        (np.zeros((1, 18, 16, 3), "uint8"), r"shape \(1, 18, 16, 3\)"),
        (np.zeros((1, 16, 30, 3), "uint8"), r"shape \(1, 16, 30, 3\)"),
        (np.zeros((1, 12, 16, 3), "uint8"), r"shape \(1, 12, 16, 3\)"),
    ],
)
def test_images_that_do_not_fit(images, received):
    with pytest.raises(ValueError, match=f"`images`.*Received: .*{received}"):
        grain(images)
