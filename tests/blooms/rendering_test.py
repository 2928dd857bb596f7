import dataclasses
import math

import numpy as np
import pytest

from keras_t2i import blooms
from keras_t2i.blooms.rendering import half_width
from keras_t2i.blooms.rendering import nearest_petal

CONTENT = blooms.Content("red", "white", 4, "round")
STYLE = blooms.Style("soil", 0.5, 0.4, radius=0.32, rotation=0.0)


def render(content=CONTENT, style=STYLE, image_size=64, seed=0):
    return blooms.render_bloom(content, style, image_size, seed)


@pytest.mark.parametrize("image_size", [32, 50, 64, 128, 256])
def test_images_are_uint8_of_the_size_asked_for(image_size):
    image = render(image_size=image_size)
    assert image.shape == (image_size, image_size, 3)
    assert image.dtype == np.uint8


def test_same_arguments_give_the_same_bytes():
    assert render().tobytes() == render().tobytes()
    assert render().tobytes() != render(seed=1).tobytes()


def test_colors_are_where_they_belong():
    image = render(image_size=100).astype(int)
    # Center at (50, 40); petals to the right, below, left and above it.
    np.testing.assert_allclose(image[40, 50], (248, 246, 240), atol=20)
    for row, column in [(40, 70), (60, 50), (40, 30), (20, 50)]:
        red, green, blue = image[row, column]
        assert red > 150 and green < 70 and blue < 70
    # Between two petals, and in the corner: soil.
    for row, column in [(17, 73), (5, 5), (95, 95)]:
        np.testing.assert_allclose(image[row, column], (84, 60, 44), atol=45)


def test_rotation_turns_the_petals():
    turned = render(
        style=dataclasses.replace(STYLE, rotation=np.pi / 4), image_size=100
    )
    # Where there was soil between two petals is now a petal.
    red, green, _ = turned[25, 65].astype(int)
    assert red > 150 and green < 70
    red, green, _ = turned[40, 76].astype(int)
    assert red < 130


def test_a_rim_sets_a_center_off_from_petals_of_its_color():
    content = blooms.Content("yellow", "yellow", 8, "round")
    image = render(content, image_size=128).astype(int)
    # Center radius: 0.28 * 0.32 of 128 pixels.
    row, column, reach = round(0.4 * 128), 64, 0.28 * 0.32 * 128
    brightness = image[row, column : column + 30].sum(axis=-1)
    rim = brightness[round(reach) - 2 : round(reach) + 2].min()
    assert rim < 0.65 * brightness[0]
    assert rim < 0.65 * brightness[round(1.8 * reach)]


def test_another_size_is_the_same_picture():
    small = render(image_size=32).astype(float)
    large = render(image_size=128).astype(float)
    shrunk = large.reshape(32, 4, 32, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - shrunk).mean() < 3


@pytest.mark.parametrize("image_size", [31, 257, 0, -64, 64.5, "64"])
def test_other_sizes_are_refused(image_size):
    with pytest.raises(ValueError, match=f"Received: {image_size!r}"):
        render(image_size=image_size)


def test_negative_seeds_are_refused():
    with pytest.raises(ValueError, match="`seed`.*Received: -3"):
        render(seed=-3)


def test_widths_by_hand():
    along = np.array([0.2, 0.42, 0.6, 1.0])
    # A circle squeezed to 0.6 tan(22.5 degrees) across, 0.4 along.
    round_petal = half_width(along, 8, "round")
    side = 0.6 * math.tan(math.pi / 8)
    expected = [0, side * math.sqrt(1 - 0.45**2), side, 0]
    np.testing.assert_allclose(round_petal, expected, atol=1e-6)
    # Widest, and 0.32 at most, at 0.42; half of that at half the way there.
    pointed = half_width(np.array([0.21, 0.42, 1.0]), 3, "pointed")
    np.testing.assert_allclose(pointed, [0.16, 0.32, 0], atol=2e-3)
    # Straight sides, widening a little, whatever the count.
    narrow = half_width(along, 5, "narrow")
    np.testing.assert_allclose(narrow, [0.124, 0.1394, 0.152, 0], atol=1e-12)


@pytest.mark.parametrize("count", blooms.PETAL_COUNTS)
@pytest.mark.parametrize("shape", blooms.PETAL_SHAPES)
def test_petals_end_at_the_tip_and_leave_room_for_the_next(count, shape):
    beyond = half_width(np.linspace(1.001, 3, 50), count, shape)
    np.testing.assert_allclose(beyond, 0, atol=1e-12)
    outer = np.linspace(0.7, 1, 50)
    room = outer * math.tan(math.pi / count)
    assert np.all(half_width(outer, count, shape) < room)


def test_each_direction_has_its_petal():
    degrees = np.array([0, 44, 46, 90, -100, 179, -179])
    number, turn = nearest_petal(np.radians(degrees), 4)
    assert number.tolist() == [0, 0, 1, 1, 3, 2, 2]
    expected = [0, 44, -44, 0, -10, -1, 1]
    np.testing.assert_allclose(np.degrees(turn), expected, atol=1e-9)


def test_the_same_index_gives_the_same_bloom():
    first, again = (blooms.bloom_at("train", 7, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    assert first.captions == again.captions
    assert (first.content, first.style) == (again.content, again.style)


@pytest.mark.parametrize(
    "other",
    [
        {"split": "val", "index": 7, "seed": 3},
        {"split": "train", "index": 8, "seed": 3},
        {"split": "train", "index": 7, "seed": 4},
    ],
)
def test_another_split_index_or_seed_gives_another_bloom(other):
    bloom = blooms.bloom_at("train", 7, seed=3)
    assert blooms.bloom_at(**other).style != bloom.style


def test_the_image_size_changes_nothing_else():
    small = blooms.bloom_at("test", 5, image_size=32)
    large = blooms.bloom_at("test", 5, image_size=96)
    assert small.image.shape == (32, 32, 3)
    assert large.image.shape == (96, 96, 3)
    assert small.captions == large.captions
    assert (small.content, small.style) == (large.content, large.style)


def test_no_two_pictures_are_alike():
    pictures = np.stack(
        [blooms.bloom_at("train", i, image_size=32).image for i in range(300)]
    )
    flat = pictures.reshape(300, -1).astype(np.float32)
    squared = np.sum(flat**2, axis=1)
    distances = squared[:, None] + squared - 2 * flat @ flat.T
    np.fill_diagonal(distances, np.inf)
    # Root mean square over the values of a picture, in gray levels.
    assert np.sqrt(distances.min() / flat.shape[1]) > 5


@pytest.mark.parametrize("split", blooms.SPLITS)
def test_blooms_come_from_the_classes_of_their_split(split):
    allowed = set(blooms.contents(split))
    for index in range(100):
        bloom = blooms.bloom_at(split, index, image_size=32)
        assert bloom.content in allowed
        assert blooms.CLASS_NAMES[bloom.class_id] == bloom.content.name


def test_the_classes_of_a_split_are_equally_likely():
    ids = [
        blooms.bloom_at("test", i, image_size=32).class_id for i in range(600)
    ]
    counts = np.unique(ids, return_counts=True)[1]
    # Ten each on average; the seed is fixed, so this does not vary.
    assert len(counts) == 60
    assert counts.min() >= 2 and counts.max() <= 22


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("all", 0), "Received: 'all'"),
        (("train", -1), "`index`.*Received: -1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        blooms.bloom_at(*arguments)
    with pytest.raises(ValueError, match="`seed`.*Received: -2"):
        blooms.bloom_at("train", 0, seed=-2)
    with pytest.raises(ValueError, match="Received: 16"):
        blooms.bloom_at("train", 0, image_size=16)
