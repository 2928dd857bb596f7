import numpy as np
import pytest

from keras_t2i import blooms


def test_classes_are_the_product_of_the_attributes():
    assert len(blooms.CLASS_NAMES) == len(set(blooms.CLASS_NAMES)) == 600
    assert blooms.CLASS_NAMES[0] == "red-yellow-3-round"
    assert blooms.CLASS_NAMES[-1] == "white-black-8-narrow"


def test_class_ids_and_contents_are_inverse():
    for class_id in range(600):
        content = blooms.content_of_class(class_id)
        assert blooms.class_id(content) == class_id
        assert content.name == blooms.CLASS_NAMES[class_id]


def test_splits_share_no_class_and_leave_none_out():
    train, val, test = (set(blooms.contents(s)) for s in blooms.SPLITS)
    assert (len(train), len(val), len(test)) == (480, 60, 60)
    assert len(train | val | test) == 600


def test_a_class_never_changes_its_split():
    # Pinned: published data sets and models depend on it.
    names = [content.name for content in blooms.contents("test")[:3]]
    assert names == [
        "red-yellow-6-narrow",
        "red-green-3-narrow",
        "red-green-4-pointed",
    ]


@pytest.mark.parametrize("split", blooms.SPLITS)
def test_every_value_occurs_in_every_split(split):
    contents = blooms.contents(split)
    assert {c.petal_color for c in contents} == set(blooms.PETAL_COLORS)
    assert {c.center_color for c in contents} == set(blooms.CENTER_COLORS)
    assert {c.petal_count for c in contents} == set(blooms.PETAL_COUNTS)
    assert {c.petal_shape for c in contents} == set(blooms.PETAL_SHAPES)


@pytest.mark.parametrize(
    ("values", "received"),
    [
        (("mauve", "yellow", 6, "round"), "petal_color.*Received: 'mauve'"),
        (("red", "pink", 6, "round"), "center_color.*Received: 'pink'"),
        (("red", "yellow", 7, "round"), "petal_count.*Received: 7"),
        (("red", "yellow", 6, "wavy"), "petal_shape.*Received: 'wavy'"),
    ],
)
def test_unknown_values_are_refused(values, received):
    with pytest.raises(ValueError, match=received):
        blooms.Content(*values)


def test_unknown_splits_and_classes_are_refused():
    with pytest.raises(ValueError, match="Received: 'trainval'"):
        blooms.contents("trainval")
    with pytest.raises(ValueError, match="Received: 600"):
        blooms.content_of_class(600)
    with pytest.raises(ValueError, match="Received: -1"):
        blooms.content_of_class(-1)


def test_flowers_are_whole_and_keep_clear_of_the_border():
    rng = np.random.default_rng(0)
    for _ in range(300):
        style = blooms.random_style(rng)
        assert 0.28 <= style.radius <= 0.42
        for center in (style.center_x, style.center_y):
            assert style.radius + 0.04 <= center <= 1 - style.radius - 0.04


def test_every_background_occurs():
    rng = np.random.default_rng(0)
    drawn = {blooms.random_style(rng).background for _ in range(60)}
    assert drawn == set(blooms.BACKGROUNDS)


def test_unusable_styles_are_refused():
    with pytest.raises(ValueError, match="Received: 'moon'"):
        blooms.Style("moon", 0.5, 0.5, 0.4, 0.0)
    with pytest.raises(ValueError, match="`radius`.*Received: 0"):
        blooms.Style("sky", 0.5, 0.5, 0, 0.0)
