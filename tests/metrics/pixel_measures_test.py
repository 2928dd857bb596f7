import dataclasses
import itertools

import numpy as np
import pytest

import keras_t2i
from keras_t2i.blooms import bloom_at
from keras_t2i.blooms import read_bloom
from keras_t2i.metrics import background_colors
from keras_t2i.metrics import bloom_attribute_accuracy
from keras_t2i.metrics import diversity
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


def test_diversity_it_is_the_mean_over_all_pairs():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 3), "uint8")
    squares = [
        np.mean((first / 255 - second / 255) ** 2)
        for first, second in itertools.combinations(images, 2)
    ]
    assert diversity(images) == pytest.approx(np.sqrt(np.mean(squares)))


def test_diversity_equal_images_have_none():
    assert diversity(np.full((3, 2, 2, 3), 200, "uint8")) == 0


def test_diversity_by_hand():
    # Two images, 51 levels apart: a fifth.
    images = np.stack([np.full((2, 2, 3), value) for value in (100, 151)])
    assert diversity(images) == pytest.approx(0.2)


@pytest.mark.parametrize("num_images", [0, 1])
def test_one_image_has_no_diversity(num_images):
    with pytest.raises(ValueError, match=r"at least two.*Received: uint8"):
        diversity(np.zeros((num_images, 2, 2, 3), "uint8"))


_ATTRIBUTES = ("petal_color", "center_color", "petal_count", "petal_shape")


@pytest.fixture(scope="module")
def blooms():
    """Flowers whose attributes can all be read from their pixels."""
    blooms = [bloom_at("test", index) for index in range(40)]
    readable = [b for b in blooms if read_bloom(b.image).content == b.content]
    assert len(readable) >= 20
    return readable


def _accuracy(blooms, captions):
    images = np.stack([bloom.image for bloom in blooms])
    return bloom_attribute_accuracy(images, captions)


def test_each_image_shows_its_own_captions(blooms):
    captions = [bloom.captions[i % 10] for i, bloom in enumerate(blooms)]
    accuracy = _accuracy(blooms, captions)
    assert set(accuracy) <= set(_ATTRIBUTES)
    assert set(accuracy.values()) == {1.0}


def test_share_of_the_captions_that_name_the_attribute(blooms):
    color = blooms[0].content.petal_color
    same = [b for b in blooms if b.content.petal_color == color]
    other = next(b for b in blooms if b.content.petal_color != color)
    chosen = [same[0], other, other, other]
    center = f"a {other.content.center_color} center"
    captions = [f"{color} petals", f"{color} petals", "a flower", center]
    accuracy = _accuracy(chosen, captions)
    # The color is named twice and shown once; the center is named once.
    assert accuracy == {"petal_color": 0.5, "center_color": 1.0}


def test_nothing_named(blooms):
    assert _accuracy(blooms[:2], ["a flower", "some image"]) == {}


def test_wrong_for_each_attribute(blooms):
    def all_different(a, b):
        a, b = dataclasses.asdict(a.content), dataclasses.asdict(b.content)
        return all(a[name] != b[name] for name in _ATTRIBUTES)

    one, two = next(
        (a, b) for a in blooms for b in blooms if all_different(a, b)
    )
    accuracy = _accuracy([one] * 10, list(two.captions))
    assert set(accuracy) == set(_ATTRIBUTES)
    assert set(accuracy.values()) == {0.0}


def test_not_one_caption_an_image(blooms):
    with pytest.raises(ValueError, match="Received: 2 images and 1 captions"):
        _accuracy(blooms[:2], ["a flower"])


def test_images_that_are_none():
    with pytest.raises(ValueError):
        bloom_attribute_accuracy(np.zeros((1, 64, 64)), ["red petals"])


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
    rendered = [keras_t2i.blooms.bloom_at("test", index) for index in range(40)]
    colors = background_colors(np.stack([bloom.image for bloom in rendered]))
    names = np.array([bloom.style.background for bloom in rendered])
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
            "none for image 1",
        ),
    ],
)
def test_background_what_does_not_fit(images, masks, message):
    with pytest.raises(ValueError, match=message):
        background_colors(images, masks)


@pytest.mark.parametrize(
    "images", [np.zeros((4, 2, 2, 3)), np.zeros((32, 32, 3), "uint8")]
)
def test_diversity_is_that_of_whole_levels_of_several_images(images):
    with pytest.raises(ValueError, match="must be uint8 of shape.*Received"):
        diversity(images)


@pytest.mark.parametrize(
    "images",
    [
        np.full((2, 2, 2, 3), -1, "int8"),
        np.full((2, 2, 2, 3), 256),
        np.zeros((2, 0, 0, 3), "uint8"),
    ],
)
def test_diversity_needs_gray_levels(images):
    with pytest.raises(ValueError, match="`images` must be uint8"):
        diversity(images)
