import numpy as np
import pytest

from keras_t2i.metrics import precision_recall
from keras_t2i.metrics import row_blocks

REAL = np.array([[0.0], [1.0], [3.0], [10.0]])
GENERATED = np.array([[-2.0], [-1.0], [3.5], [5.0], [18.0]])


def _by_definition(real, generated, k):
    def distance(a, b):
        return np.sqrt(np.sum((a - b) ** 2))

    def share(images, centers):
        covered = 0
        for image in images:
            for center in centers:
                nearest = sorted(distance(center, other) for other in centers)
                if distance(image, center) <= nearest[k]:
                    covered += 1
                    break
        return covered / len(images)

    return share(generated, real), share(real, generated)


def test_on_a_line_by_hand():
    # Real balls [-1, 1], [0, 2], [1, 5] and [3, 17] hold -1, 3.5 and 5, the
    # first and the last on an edge. Generated ones [-3, -1], [-2, 0], [2, 5],
    # [3.5, 6.5] and [5, 31] hold 0, 3 and 10.
    measured = precision_recall(REAL, GENERATED, k=1)
    assert measured == (3 / 5, 3 / 4)


def test_more_neighbors_have_larger_balls():
    # With two, [-3, 3] holds -2 and -1, and [1, 19] the others. Of the
    # generated ones [-7.5, 3.5] holds 0, 1 and 3, and [-1, 11] holds 10.
    assert precision_recall(REAL, GENERATED, k=2) == (1, 1)


def test_in_the_plane_by_hand():
    # A square of side 1 has balls of radius 1: (0.5, 0.5) and (1.5, 0.5) are
    # in them, (1.8, 1.8) is not: its distance to (1, 1) is 1.13.
    real = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    generated = np.array([[0.5, 0.5], [1.5, 0.5], [1.8, 1.8]])
    # Radii of the generated ones: 1, 1 and 1.33, with (0, 0) and (0, 1) at
    # 0.71 of the first.
    assert precision_recall(real, generated, k=1) == (2 / 3, 1)
    # Alone with one far away, radii are large, so take near ones: (2, 2.5) is
    # 0.25 from its neighbor, and (1, 1) is 1.8 away.
    generated = np.array([[2, 2.5], [2, 2.25], [-0.1, 0], [0.1, 0]])
    # Radii of the last two are 0.2: only (0, 0) is in them.
    assert precision_recall(real, generated, k=1) == (2 / 4, 1 / 4)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_against_the_definition(k):
    generator = np.random.default_rng(k)
    real = generator.normal(size=(30, 4))
    generated = 0.8 * generator.normal(size=(25, 4)) + 1.2
    expected = _by_definition(real, generated, k)
    assert len({0.0, 1.0, *expected}) == 4
    assert precision_recall(real, generated, k) == expected
    assert precision_recall(generated, real, k) == expected[::-1]


def test_five_is_the_default():
    generator = np.random.default_rng(0)
    real, generated = generator.normal(size=(2, 40, 6))
    generated = generated + 0.5
    default = precision_recall(real, generated)
    assert default == precision_recall(real, generated, 5)
    assert default != precision_recall(real, generated, 4)
    assert default != precision_recall(real, generated, 6)


def test_sets_that_are_far_apart():
    assert precision_recall(REAL, REAL + 100, k=1) == (0, 0)
    assert precision_recall(REAL, REAL, k=1) == (1, 1)


@pytest.mark.parametrize("values", [1, 77, 300])
def test_blocks_do_not_count(values, monkeypatch):
    generator = np.random.default_rng(0)
    real = generator.normal(size=(40, 5))
    generated = generator.normal(size=(31, 5)) + 1.2
    expected = precision_recall(real, generated)
    assert 0 < min(expected) <= max(expected) < 1
    monkeypatch.setattr(row_blocks, "_VALUES_AT_A_TIME", values)
    assert precision_recall(real, generated) == expected


@pytest.mark.parametrize(
    ("real", "generated", "k", "message"),
    [
        (REAL, GENERATED, 4, "`real_features`.*Received: 4 images with k=4"),
        (GENERATED, REAL, 4, "`generated_f.*Received: 4 images with k=4"),
        (REAL, GENERATED, 0, "`k`.*Received: 0"),
        (REAL, GENERATED[0], 1, r"`generated_features`.*shape \(1,\)"),
        (REAL, np.ones((4, 2)), 1, "'generated_features': 2"),
        (REAL, np.nan * GENERATED, 1, "`generated_f.*5 of 5 rows"),
    ],
)
def test_what_does_not_fit(real, generated, k, message):
    with pytest.raises(ValueError, match=message):
        precision_recall(real, generated, k)
