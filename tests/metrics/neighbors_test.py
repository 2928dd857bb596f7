import numpy as np
import pytest

from keras_t2i.metrics import density_coverage
from keras_t2i.metrics import distances
from keras_t2i.metrics import nearest_training_images
from keras_t2i.metrics import nearest_training_ratio
from keras_t2i.metrics import precision_recall
from keras_t2i.metrics.neighbors import squared_radii

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


def test_precision_recall_on_a_line_by_hand():
    # Real balls [-1, 1], [0, 2], [1, 5] and [3, 17] hold -1, 3.5 and 5, the
    # first and the last on an edge. Generated ones [-3, -1], [-2, 0], [2, 5],
    # [3.5, 6.5] and [5, 31] hold 0, 3 and 10.
    measured = precision_recall(REAL, GENERATED, k=1)
    assert measured == (3 / 5, 3 / 4)


def test_precision_recall_more_neighbors_have_larger_balls():
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
def test_precision_recall_against_the_definition(k):
    generator = np.random.default_rng(k)
    real = generator.normal(size=(30, 4))
    generated = 0.8 * generator.normal(size=(25, 4)) + 1.2
    expected = _by_definition(real, generated, k)
    assert len({0.0, 1.0, *expected}) == 4
    assert precision_recall(real, generated, k) == expected
    assert precision_recall(generated, real, k) == expected[::-1]


def test_precision_recall_five_is_the_default():
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
def test_precision_recall_blocks_do_not_count(values, monkeypatch):
    generator = np.random.default_rng(0)
    real = generator.normal(size=(40, 5))
    generated = generator.normal(size=(31, 5)) + 1.2
    expected = precision_recall(real, generated)
    assert 0 < min(expected) <= max(expected) < 1
    monkeypatch.setattr(distances, "_VALUES_AT_A_TIME", values)
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
def test_precision_recall_what_does_not_fit(real, generated, k, message):
    with pytest.raises(ValueError, match=message):
        precision_recall(real, generated, k)


def _density_by_definition(real, generated, k):
    inside = np.zeros((len(real), len(generated)))
    for i, center in enumerate(real):
        nearest = sorted(np.linalg.norm(center - other) for other in real)
        for j, image in enumerate(generated):
            inside[i, j] = np.linalg.norm(image - center) < nearest[k]
    return inside.sum() / (k * len(generated)), inside.any(axis=1).mean()


def test_density_coverage_on_a_line_by_hand():
    # Balls (-1, 1) and (0, 2) hold none, (1, 5) holds 3.5 and (3, 17) holds
    # 3.5 and 5. What is on an edge, -1 and 5, is not inside.
    density, coverage = density_coverage(REAL, GENERATED, k=1)
    assert density == 3 / 5
    assert coverage == 2 / 4


def test_density_coverage_more_neighbors_have_larger_balls():
    # With two, (-3, 3) holds -2 and -1, (-1, 3) none, (0, 6) holds 3.5 and 5,
    # and (1, 19) those and 18.
    density, coverage = density_coverage(REAL, GENERATED, k=2)
    assert density == 7 / (2 * 5)
    assert coverage == 3 / 4


def test_density_can_be_larger_than_one():
    # All four balls of a square, of radius 1, hold its center.
    real = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    assert density_coverage(real, np.full((3, 2), 0.5), k=1) == (4, 1)
    # Of the balls of its corners, (1.5, 0.5) is in those of the nearer two.
    assert density_coverage(real, [[1.5, 0.5]], k=1) == (2, 1 / 2)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_equal_sets(k):
    # All distances are different.
    features = 2.0 ** np.arange(6)[:, None]
    assert density_coverage(features, features, k) == (1, 1)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_density_coverage_against_the_definition(k):
    generator = np.random.default_rng(k)
    real = generator.normal(size=(30, 4))
    generated = 0.8 * generator.normal(size=(25, 4)) + 0.7
    expected = _density_by_definition(real, generated, k)
    assert 0 < expected[1] < 1
    assert density_coverage(real, generated, k) == pytest.approx(expected)


def test_density_coverage_five_is_the_default():
    generator = np.random.default_rng(0)
    real, generated = generator.normal(size=(2, 40, 6))
    default = density_coverage(real, generated)
    assert default == density_coverage(real, generated, 5)
    assert default != density_coverage(real, generated, 4)


def test_one_outlier_counts_little():
    # An outlier of the real images has a ball that holds all generated ones.
    real = np.concatenate([np.arange(20.0), [1000.0]])[:, None]
    generated = np.linspace(200, 300, 10)[:, None]
    density, coverage = density_coverage(real, generated)
    assert density == pytest.approx(1 / 5)
    assert coverage == pytest.approx(1 / 21)


def test_few_generated_images_are_enough():
    assert density_coverage(REAL, [[0.5]], k=1) == (2, 2 / 4)


@pytest.mark.parametrize("values", [1, 77, 300])
def test_density_coverage_blocks_do_not_count(values, monkeypatch):
    generator = np.random.default_rng(0)
    real = generator.normal(size=(40, 5))
    generated = generator.normal(size=(31, 5)) + 0.8
    expected = density_coverage(real, generated)
    assert 0 < min(expected) <= max(expected) < 1
    monkeypatch.setattr(distances, "_VALUES_AT_A_TIME", values)
    assert density_coverage(real, generated) == expected


@pytest.mark.parametrize(
    ("real", "generated", "k", "message"),
    [
        (REAL, GENERATED, 4, "`real_features`.*Received: 4 images with k=4"),
        (REAL, GENERATED, -1, "`k`.*Received: -1"),
        (REAL, GENERATED[:0], 1, r"`generated_features`.*shape \(0, 1\)"),
        (REAL, np.ones((4, 2)), 1, "'generated_features': 2"),
        (np.nan * REAL, GENERATED, 1, "`real_features`.*4 of 4 rows"),
    ],
)
def test_density_coverage_what_does_not_fit(real, generated, k, message):
    with pytest.raises(ValueError, match=message):
        density_coverage(real, generated, k)


TRAINING = np.array([[0.0], [10.0], [20.0]])


def test_nearest_training_by_hand():
    training = np.array([[0.0, 0], [6, 8], [-3, 4]])
    features = np.array([[6.0, 7], [-3, 4], [3.1, 4.1]])
    indices, distances = nearest_training_images(features, training)
    assert indices.tolist() == [1, 2, 1]
    expected = [1, 0, np.hypot(2.9, 3.9)]
    np.testing.assert_allclose(distances, expected)


@pytest.mark.parametrize("values", [1, 70, 10_000])
def test_nearest_training_each_with_each(values, monkeypatch):
    monkeypatch.setattr(distances, "_VALUES_AT_A_TIME", values)
    generator = np.random.default_rng(0)
    features = generator.normal(size=(17, 5))
    training = generator.normal(size=(30, 5))
    all_distances = np.linalg.norm(features[:, None] - training, axis=2)
    indices, nearest = nearest_training_images(features, training)
    np.testing.assert_array_equal(indices, all_distances.argmin(axis=1))
    np.testing.assert_allclose(nearest, all_distances.min(axis=1))


def test_a_copy_has_no_distance():
    # In numbers whose squares round.
    training = 100 + np.random.default_rng(0).normal(size=(60, 50))
    order = np.random.default_rng(1).permutation(60)
    indices, distances = nearest_training_images(training[order], training)
    np.testing.assert_array_equal(indices, order)
    assert distances.tolist() == [0] * 60


@pytest.mark.parametrize(
    ("features", "training", "message"),
    [
        (np.ones((3, 2)), np.ones((0, 2)), r"`training_f.*shape \(0, 2\)"),
        (np.ones(3), np.ones((3, 2)), r"`features`.*shape \(3,\)"),
        (np.ones((3, 2)), np.ones((3, 4)), "'training_features': 4"),
        (np.ones((3, 2)), np.full((3, 2), np.inf), "`training_f.*3 of 3 rows"),
    ],
)
def test_nearest_training_what_does_not_fit(features, training, message):
    with pytest.raises(ValueError, match=message):
        nearest_training_images(features, training)


def test_nearest_training_medians_by_hand():
    # Distances of 1, 2 and 5 of the generated images, and of 3, 4, 4 and 980
    # of the real ones.
    generated = [[1.0], [12.0], [15.0]]
    real = [[-3.0], [14.0], [6.0], [1000.0]]
    ratio = nearest_training_ratio(generated, real, TRAINING)
    assert ratio == pytest.approx(2 / 4)


def test_nearest_training_copies():
    real = TRAINING + 3
    assert nearest_training_ratio(TRAINING, real, TRAINING) == 0
    assert nearest_training_ratio(TRAINING + 0.3, real, TRAINING) < 0.11


def test_images_of_the_real_distribution():
    generator = np.random.default_rng(0)
    generated, real, training = generator.normal(size=(3, 500, 10))
    ratio = nearest_training_ratio(generated, real, training)
    assert ratio == pytest.approx(1, abs=0.05)


def test_real_images_that_were_trained_on():
    real = [[0.0], [20.0], [13.0]]
    message = "not trained on. Received: 2 of 3 images"
    with pytest.raises(ValueError, match=message):
        nearest_training_ratio(TRAINING + 1, real, TRAINING)


@pytest.mark.parametrize("place", [0, 1])
def test_nearest_training_shapes(place):
    arguments = [TRAINING + 1, TRAINING + 2, TRAINING]
    arguments[place] = np.ones((3, 2))
    with pytest.raises(ValueError, match="Received:.*'training_features': 1"):
        nearest_training_ratio(*arguments)


def _squared(features, others):
    return np.sum((features[:, None] - others[None]) ** 2, axis=2)


@pytest.mark.parametrize("values", [1, 3000, 100_000])
@pytest.mark.parametrize("k", [1, 3, 60, 199])
def test_radii(k, values, monkeypatch):
    monkeypatch.setattr(distances, "_VALUES_AT_A_TIME", values)
    features = np.random.default_rng(0).normal(size=(200, 3))
    # The image itself is the first of each row.
    expected = np.sort(_squared(features, features), axis=1)[:, k]
    found = squared_radii(features, k, "features")
    np.testing.assert_allclose(found, expected)


def test_a_copy_is_a_neighbor():
    features = np.array([[1.0], [1.0], [4.0]])
    assert squared_radii(features, 1, "features").tolist() == [0, 0, 9]
    assert squared_radii(features, 2, "features").tolist() == [9, 9, 9]


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (0, "`k` must be a whole number of at least 1. Received: 0"),
        (1.5, "`k`.*Received: 1.5"),
        (4, "`some` must hold more than `k` images. Received: 4 .* k=4"),
    ],
)
def test_too_few_neighbors(k, message):
    with pytest.raises(ValueError, match=message):
        squared_radii(np.ones((4, 2)), k, "some")


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16])
def test_small_types_of_neighbors_do_not_overflow(kind):
    generator = np.random.default_rng(0)
    real, generated = generator.normal(size=(2, 100, 4))
    expected = density_coverage(real, generated, 5)
    assert density_coverage(real, generated, kind(5)) == expected
