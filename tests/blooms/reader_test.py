import itertools
import math
import re
from collections import Counter

import numpy as np
import pytest

from keras_t2i import blooms
from keras_t2i.blooms.attributes import BACKGROUND_RGB
from keras_t2i.blooms.attributes import CENTER_RGB
from keras_t2i.blooms.attributes import PETAL_RGB
from keras_t2i.blooms.reader import best_outline
from keras_t2i.blooms.reader import nearest_color
from keras_t2i.blooms.reader import sample_polar
from keras_t2i.blooms.rendering import half_width
from keras_t2i.blooms.rendering import nearest_petal

FIELDS = ("petal_color", "center_color", "petal_count", "petal_shape")


def blurred(image, sigma):
    offset = np.arange(len(image))[:, None] - np.arange(len(image))
    kernel = np.exp(-0.5 * (offset / sigma) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    smooth = np.einsum("ij,jkc,lk->ilc", kernel, image, kernel, optimize=True)
    return np.rint(smooth).astype(np.uint8)


def with_noise(image, sigma):
    noise = np.random.default_rng(0).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def checkered(image):
    squares = np.indices(image.shape[:2]).sum(axis=0) % 2 * 40 - 20
    return np.clip(image + squares[..., None], 0, 255).astype(np.uint8)


def faded(image):
    return np.rint(0.6 * image + 50).astype(np.uint8)


def shares_read_right(num_images, image_size=64, change=lambda image: image):
    right = Counter()
    for index in range(num_images):
        split = blooms.SPLITS[index % 3]
        bloom = blooms.bloom_at(split, index, seed=99, image_size=image_size)
        reading = blooms.read_bloom(change(bloom.image))
        right["background"] += reading.background == bloom.style.background
        for field in FIELDS:
            value = getattr(bloom.content, field)
            right[field] += getattr(reading.content, field) == value
    return {field: count / num_images for field, count in right.items()}


def test_reads_what_was_drawn():
    shares = shares_read_right(300)
    assert shares["petal_color"] >= 0.98
    assert shares["center_color"] >= 0.98
    assert shares["background"] >= 0.98
    assert shares["petal_count"] >= 0.97
    assert shares["petal_shape"] >= 0.97


@pytest.mark.parametrize("image_size", [32, 128])
def test_reads_other_sizes(image_size):
    shares = shares_read_right(60, image_size)
    assert min(shares.values()) >= 0.95


@pytest.mark.parametrize(
    "change",
    [
        lambda image: blurred(image, 1.5),
        lambda image: with_noise(image, 20),
        lambda image: image // 4 * 3,
        checkered,
        faded,
    ],
    ids=["blur", "noise", "dark", "checkerboard", "faded"],
)
def test_reads_spoilt_pictures(change):
    shares = shares_read_right(60, change=change)
    assert min(shares.values()) >= 0.9


def test_strong_blur_costs_shape_first():
    shares = shares_read_right(60, change=lambda image: blurred(image, 3))
    assert shares["petal_color"] >= 0.9
    assert shares["petal_count"] >= 0.9
    assert shares["petal_shape"] >= 0.7


def test_measures_where_the_flower_is():
    errors = []
    for index in range(60):
        bloom = blooms.bloom_at("val", index)
        reading = blooms.read_bloom(bloom.image)
        errors.append(
            (
                reading.center_x - bloom.style.center_x,
                reading.center_y - bloom.style.center_y,
                reading.radius / bloom.style.radius - 1,
            )
        )
    assert np.abs(errors).max(axis=0)[:2].max() < 0.04
    assert np.abs(errors).max(axis=0)[2] < 0.1


def hostile_images():
    rng = np.random.default_rng(0)
    for size in (32, 64):
        shape = (size, size, 3)
        for value in (0, 128, 255):
            yield np.full(shape, value, np.uint8)
        yield np.full(shape, (220, 30, 40), np.uint8)
        yield rng.integers(0, 256, shape, np.uint8)
        yield np.repeat(
            rng.integers(0, 2, (*shape[:2], 1), np.uint8) * 255, 3, 2
        )
        one_pixel = np.zeros(shape, np.uint8)
        one_pixel[-1, 0] = 255
        yield one_pixel
        half = np.zeros(shape, np.uint8)
        half[:, size // 2 :] = 255
        yield half
        specks = np.zeros(shape, np.uint8)
        specks[5, 5] = specks[6, 5] = specks[-6, -6] = 255
        yield specks


@pytest.mark.parametrize("image", hostile_images())
def test_any_picture_has_a_reading(image):
    with np.errstate(all="raise", under="ignore"):
        reading = blooms.read_bloom(image)
    assert reading.content.name in blooms.CLASS_NAMES
    assert reading.background in blooms.BACKGROUNDS
    assert -0.1 <= reading.center_x <= 1.1
    assert -0.1 <= reading.center_y <= 1.1
    assert 0 < reading.radius < 1.7


def test_reading_leaves_the_picture_as_it_was():
    image = blooms.bloom_at("train", 0).image
    before = image.copy()
    blooms.read_bloom(image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("image", "received"),
    [
        (np.zeros((64, 64, 3), np.float32), "dtype=float32"),
        (np.zeros((64, 64), np.uint8), "shape=(64, 64)"),
        (np.zeros((64, 64, 4), np.uint8), "shape=(64, 64, 4)"),
        (np.zeros((64, 48, 3), np.uint8), "shape=(64, 48, 3)"),
        (np.zeros((16, 16, 3), np.uint8), "shape=(16, 16, 3)"),
        (np.zeros((2, 64, 64, 3), np.uint8), "shape=(2, 64, 64, 3)"),
        ("flower.png", "dtype=<class 'str'>"),
    ],
)
def test_other_arrays_are_refused(image, received):
    with pytest.raises(ValueError, match=f"Received: .*{re.escape(received)}"):
        blooms.read_bloom(image)


def test_polar_samples_of_a_ramp_by_hand():
    # The value of a pixel is the x of its center.
    ramp = np.tile(np.arange(40) + 0.5, (40, 1))
    samples = sample_polar(ramp, [(20.0, 20.0, 10.0)])
    assert samples.shape == (1, 18, 120)
    # To the right, below and to the left, from 0.38 to 1.3 of the radius.
    np.testing.assert_allclose(samples[0, [0, -1], 0], [23.8, 33], atol=1e-4)
    np.testing.assert_allclose(samples[0, :, 30], 20, atol=1e-4)
    np.testing.assert_allclose(samples[0, [0, -1], 60], [16.2, 7], atol=1e-4)


def test_beyond_the_picture_the_border_goes_on():
    ramp = np.tile(np.arange(40) + 0.5, (40, 1))
    samples = sample_polar(ramp, [(38.0, 2.0, 20.0)])
    assert samples.min() >= 0.5 and samples.max() <= 39.5


@pytest.mark.parametrize(
    ("count", "shape"),
    itertools.product(blooms.PETAL_COUNTS, blooms.PETAL_SHAPES),
)
def test_finds_kind_place_and_size_of_a_silhouette(count, shape):
    y, x = np.indices((64, 64)) + 0.5
    x, y = (x - 33) / 20, (y - 30) / 20
    distance = np.hypot(x, y)
    _, turn = nearest_petal(np.arctan2(y, x) - 0.4, count)
    across = np.abs(distance * np.sin(turn))
    along = distance * np.cos(turn)
    silhouette = (across < half_width(along, count, shape)).astype(float)

    outline = best_outline(silhouette, 32.4, 30.4, 21.5)

    assert (outline.petal_count, outline.petal_shape) == (count, shape)
    assert math.dist((outline.x, outline.y), (33, 30)) < 1.2
    # The silhouette's petals are full length, a bloom's 0.965 on average.
    assert outline.radius == pytest.approx(20 / 0.965, rel=0.06)
    # The first petal points to 0.4 radians, step 7.6 of 120.
    assert outline.petals[3, 7] and outline.petals[3, 8]


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
