import itertools

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from keras_t2i.metrics import distances
from keras_t2i.metrics import diversity_within_captions
from keras_t2i.metrics import frechet_distance
from keras_t2i.metrics import kernel_distance


def _features(mean, covariance, num_images, seed):
    """Random features whose sample mean and covariance are exactly these."""
    mean = np.asarray(mean, np.float64)
    noise = np.random.default_rng(seed).normal(size=(num_images, len(mean)))
    white, _ = np.linalg.qr(noise - noise.mean(axis=0))
    root = np.linalg.cholesky(covariance)
    return np.sqrt(num_images - 1) * white @ root.T + mean


def _rotation(size, seed):
    noise = np.random.default_rng(seed).normal(size=(size, size))
    return np.linalg.qr(noise)[0]


def test_one_feature_by_hand():
    # Means 2 and 8; variances 4 and 36.
    real, generated = [[0.0], [2.0], [4.0]], [[2.0], [8.0], [14.0]]
    expected = (8 - 2) ** 2 + (6 - 2) ** 2
    assert frechet_distance(real, generated) == pytest.approx(expected)


def test_covariances_that_commute():
    axes = _rotation(4, 0)
    real_variances = np.array([1.0, 4.0, 9.0, 0.25])
    generated_variances = np.array([4.0, 1.0, 9.0, 0.01])
    real = _features(
        [1, 2, 3, 4], axes @ np.diag(real_variances) @ axes.T, 50, 1
    )
    generated = _features(
        [1, 2, 5, 3], axes @ np.diag(generated_variances) @ axes.T, 30, 2
    )
    # Means: 0 + 0 + 4 + 1; roots of the variances: 1 + 1 + 0 + 0.4**2.
    expected = 5 + 2.16
    assert frechet_distance(real, generated) == pytest.approx(expected)


def test_covariances_that_do_not_commute():
    real_covariance = np.array([[2.0, 1.0], [1.0, 3.0]])
    generated_covariance = np.array([[5.0, -2.0], [-2.0, 1.0]])
    product = real_covariance @ generated_covariance
    # The root of a matrix of two rows has this trace.
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    # Not equal to what the roots of the variances alone give.
    assert abs(root - np.sqrt(10) - np.sqrt(3)) > 0.5
    distance = frechet_distance(
        _features([0, 0], real_covariance, 40, 1),
        _features([3, 4], generated_covariance, 60, 2),
    )
    assert distance == pytest.approx(25 + 5 + 6 - 2 * root)


@pytest.mark.filterwarnings("ignore:The Frechet distance")
@pytest.mark.parametrize("num_images", [(90, 70), (90, 6), (5, 6), (7, 90)])
def test_against_eigenvalues_of_the_product(num_images):
    generator = np.random.default_rng(0)
    real, generated = (
        generator.normal(size=(size, 12)) @ generator.normal(size=(12, 12))
        for size in num_images
    )
    products = np.cov(real.T) @ np.cov(generated.T)
    eigenvalues = np.linalg.eigvals(products).real
    expected = (
        np.sum((real.mean(axis=0) - generated.mean(axis=0)) ** 2)
        + np.trace(np.cov(real.T))
        + np.trace(np.cov(generated.T))
        - 2 * np.sum(np.sqrt(np.maximum(eigenvalues, 0)))
    )
    distance = frechet_distance(real, generated)
    assert distance == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(generated, real) == pytest.approx(distance)


def test_shift_alone():
    real = np.random.default_rng(0).normal(size=(200, 5))
    shift = np.array([1.0, -2.0, 0.5, 0.0, 3.0])
    assert frechet_distance(real, real + shift) == pytest.approx(14.25)


def test_scale_alone():
    real = np.random.default_rng(0).normal(size=(200, 5)) + 2.0
    # The roots of the covariance and the mean are both scaled.
    squares = np.sum(real.mean(axis=0) ** 2) + np.trace(np.cov(real.T))
    distance = frechet_distance(real, 1.5 * real)
    assert distance == pytest.approx(0.25 * squares)


@pytest.mark.filterwarnings("ignore:The Frechet distance")
def test_covariances_without_full_rank():
    # Along one common direction of fifty, and each along one of its own.
    axes = _rotation(50, 0)
    spread = np.array([[-1.0], [0.0], [1.0]])
    common = [frechet_distance(spread * axes[0], 3 * spread * axes[0])]
    common.append(frechet_distance(spread * axes[0], spread * axes[1]))
    # Variances 1 and 9: (3 - 1)**2. No overlap: 1 + 1.
    assert common == pytest.approx([4, 2])
    # Roots of eigenvalues that are nearly 0 would show here.
    assert frechet_distance(spread * axes[0], spread * axes[0]) < 1e-12


def test_never_negative():
    # Rounding makes about half of these negative.
    for seed in range(10):
        features = np.random.default_rng(seed).normal(size=(300, 40)) * 100
        assert 0 <= frechet_distance(features, features[::-1]) < 1e-6


def test_float32_is_summed_in_float64():
    features = np.random.default_rng(0).normal(size=(300, 8)) + 1000
    features = features.astype("float32")
    expected = frechet_distance(features.astype("float64"), features[:200])
    assert frechet_distance(features, features[:200]) == expected


@pytest.mark.parametrize(("num_real", "num_generated"), [(4, 9), (9, 4)])
def test_few_images_are_warned_of(num_real, num_generated):
    features = np.random.default_rng(0).normal(size=(9, 5))
    with pytest.warns(UserWarning, match="of 4 images with 5 features.*biased"):
        frechet_distance(features[:num_real], features[:num_generated])
    # As many images as features are not: warnings are errors here.
    frechet_distance(features[:5], features[:5])


@pytest.mark.parametrize(
    ("real", "generated", "message"),
    [
        (np.ones((1, 3)), np.ones((9, 3)), r"`real_f.*2 images.*\(1, 3\)"),
        (np.ones((9, 3)), np.ones((0, 3)), r"`generated_f.*Rec.*\(0, 3\)"),
        (np.ones(9), np.ones((9, 3)), r"`real_features`.*Received.*\(9,\)"),
        (np.ones((9, 0)), np.ones((9, 0)), r"Received: shape \(9, 0\)"),
        (
            np.ones((9, 3)),
            np.ones((9, 2)),
            r"same number.*'real_features': 3, 'generated_features': 2",
        ),
        (
            np.ones((9, 3)),
            np.full((9, 3), np.nan),
            "`generated_features` must hold finite.*in 9 of 9 rows",
        ),
    ],
)
def test_frechet_what_does_not_fit(real, generated, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(real, generated)


def _kernel_features(num_images, num_features, seed, shift=0.0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(num_images, num_features)) + shift


def _by_double_sum(real, generated):
    """The unbiased estimate, pair by pair, of as many images of both."""

    def kernel(a, b):
        return (np.dot(a, b) / len(a) + 1) ** 3

    size = len(real)
    assert len(generated) == size
    total = 0.0
    for i, j in itertools.product(range(size), repeat=2):
        if i != j:
            within = kernel(real[i], real[j])
            within += kernel(generated[i], generated[j])
            total += within / (size * (size - 1))
        total -= 2 * kernel(real[i], generated[j]) / size**2
    return total


def test_by_hand():
    # (xy + 1)**3. Real pairs: 1, 1 and 27; generated: 27, 64 and 343; between:
    # 1, 1, 1, 8, 27, 64, 27, 125 and 343.
    expected = 29 / 3 + 434 / 3 - 2 * 597 / 9
    mean, deviation = kernel_distance([[0], [1], [2]], [[1], [2], [3]])
    assert mean == pytest.approx(expected)
    # Each subset holds all images.
    assert deviation == pytest.approx(0, abs=1e-9)


def test_against_a_double_sum():
    real, generated = (
        _kernel_features(12, 5, 0),
        _kernel_features(12, 5, 1, shift=0.3),
    )
    mean, _ = kernel_distance(real, generated)
    assert mean == pytest.approx(_by_double_sum(real, generated))


def test_against_scikit_learn():
    # No more images of the one than of the other here: each subset has them
    # all.
    real, generated = (
        _kernel_features(40, 30, 0),
        _kernel_features(40, 30, 1, shift=0.2),
    )
    within = [
        np.sum(kernel) - np.trace(kernel)
        for kernel in (polynomial_kernel(real), polynomial_kernel(generated))
    ]
    between = polynomial_kernel(real, generated).mean()
    expected = sum(within) / (40 * 39) - 2 * between
    mean, _ = kernel_distance(real, generated, num_subsets=3)
    assert mean == pytest.approx(expected)


def test_subsets_are_uniform_and_without_replacement():
    real, generated = (
        _kernel_features(6, 3, 0),
        _kernel_features(5, 3, 1, shift=0.5),
    )
    values = [
        _by_double_sum(real[list(chosen)], generated[list(others)])
        for chosen in itertools.combinations(range(6), 3)
        for others in itertools.combinations(range(5), 3)
    ]
    mean, deviation = kernel_distance(
        real, generated, num_subsets=40_000, subset_size=3
    )
    error = np.std(values) / np.sqrt(40_000)
    assert mean == pytest.approx(np.mean(values), abs=4 * error)
    assert deviation == pytest.approx(np.std(values), rel=0.02)


def test_a_subset_is_no_larger_than_the_smaller_set():
    real, generated = _kernel_features(7, 3, 0), _kernel_features(4, 3, 1)
    capped = kernel_distance(real, generated, 50)
    assert capped == kernel_distance(real, generated, 50, subset_size=4)
    assert capped != kernel_distance(real, generated, 50, subset_size=3)
    # The subsets of the larger set differ.
    assert capped[1] > 0.01


def test_one_distribution_is_unbiased():
    # Images paired with themselves would add (E k(x, x) - E k(x, y)) / 10 for
    # each set, which is more than 1.
    means = [
        kernel_distance(
            _kernel_features(10, 4, seed),
            _kernel_features(10, 4, 1000 + seed),
            1,
        )[0]
        for seed in range(400)
    ]
    error = np.std(means) / np.sqrt(len(means))
    assert error < 0.1
    assert abs(np.mean(means)) < 3 * error
    assert min(means) < 0


def test_images_are_compared_with_themselves_as_with_a_copy():
    features = _kernel_features(30, 4, 0).astype("float64")
    expected = kernel_distance(features, features.copy())
    assert kernel_distance(features, features) == pytest.approx(expected)


def test_other_distributions_are_apart():
    real = _kernel_features(200, 8, 0)
    near = kernel_distance(real, _kernel_features(200, 8, 1, shift=0.1))[0]
    far = kernel_distance(real, _kernel_features(200, 8, 1, shift=0.5))[0]
    assert 0 < near < 0.3 * far


def test_the_seed_is_that_of_the_subsets():
    real, generated = _kernel_features(30, 3, 0), _kernel_features(30, 3, 1)
    first, again, other = (
        kernel_distance(real, generated, 5, 10, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first[0] != other[0]


@pytest.mark.parametrize("values", [1, 45, 300])
def test_blocks_do_not_count(values, monkeypatch):
    real, generated = _kernel_features(40, 3, 0), _kernel_features(23, 3, 1)
    expected = kernel_distance(real, generated, 5, 10)
    monkeypatch.setattr(distances, "_VALUES_AT_A_TIME", values)
    found = kernel_distance(real, generated, 5, 10)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_subsets": 0}, "`num_subsets`.*at least 1. Received: 0"),
        ({"num_subsets": 2.5}, "`num_subsets`.*Received: 2.5"),
        ({"subset_size": 1}, "`subset_size`.*at least 2. Received: 1"),
        ({"subset_size": np.inf}, "`subset_size`.*Received: inf"),
        ({"subset_size": np.nan}, "`subset_size`.*Received: nan"),
    ],
)
def test_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        kernel_distance(np.ones((4, 2)), np.ones((4, 2)), **settings)


@pytest.mark.parametrize(
    ("real", "generated", "message"),
    [
        (np.ones((1, 3)), np.ones((9, 3)), r"`real_f.*2 images.*\(1, 3\)"),
        (np.ones((9, 3)), np.ones((1, 3)), r"`generated_f.*Rec.*\(1, 3\)"),
        (np.ones((9, 3)), np.ones((9, 2)), "'generated_features': 2"),
        (np.full((9, 3), np.inf), np.ones((9, 3)), "`real_f.*9 of 9 rows"),
    ],
)
def test_kernel_what_does_not_fit(real, generated, message):
    with pytest.raises(ValueError, match=message):
        kernel_distance(real, generated)


def _pair_by_pair(features, caption_ids):
    within, between = [], []
    for i, j in itertools.combinations(range(len(features)), 2):
        distance = np.linalg.norm(features[i] - features[j])
        one_caption = caption_ids[i] == caption_ids[j]
        (within if one_caption else between).append(distance)
    return np.mean(within) / np.mean(between)


def test_within_captions_by_hand():
    features = np.array([[0.0, 0], [3, 4], [0, 12], [0, 12]])
    # Within: 5 and 0. Between: 12, 12, and twice the root of 9 + 64.
    expected = 2.5 / ((12 + 12 + 2 * np.sqrt(73)) / 4)
    measured = diversity_within_captions(features, [4, 4, 1, 1])
    assert measured == pytest.approx(expected)


@pytest.mark.parametrize("values", [1, 100, 10_000])
def test_within_captions_pair_by_pair(values, monkeypatch):
    monkeypatch.setattr(distances, "_VALUES_AT_A_TIME", values)
    generator = np.random.default_rng(0)
    # Captions of different numbers of images, one of a single one.
    caption_ids = generator.permutation([5] * 6 + [2] * 3 + [9] + [0] * 11)
    features = generator.normal(size=(21, 4)) + caption_ids[:, None]
    expected = _pair_by_pair(features, caption_ids)
    assert expected < 0.9
    measured = diversity_within_captions(features, caption_ids)
    assert measured == pytest.approx(expected)


def test_noise_that_is_ignored():
    # One image a caption, in numbers that round.
    generator = np.random.default_rng(0)
    features = np.repeat(100 + generator.normal(size=(5, 40)), 8, axis=0)
    measured = diversity_within_captions(features, np.repeat(range(5), 8))
    assert measured == pytest.approx(0, abs=1e-6)


def test_captions_that_are_ignored():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(400, 6))
    measured = diversity_within_captions(features, np.arange(400) % 50)
    assert measured == pytest.approx(1, abs=0.03)


def test_units_do_not_count():
    features = np.random.default_rng(0).normal(size=(6, 3))
    ids = [0, 0, 0, 1, 1, 1]
    expected = diversity_within_captions(features, ids)
    scaled = diversity_within_captions(1000 * features, ids)
    assert scaled == pytest.approx(expected)


@pytest.mark.parametrize(
    ("features", "caption_ids", "message"),
    [
        (np.eye(3), [1, 2], r"Received: 3 images and ids of shape \(2,\)"),
        (np.eye(3), [1, 2, 3], "two images.*Received: 3 captions of 3 images"),
        (np.eye(3), [1, 1, 1], "two captions.*Received: 1 captions of 3"),
        (np.ones((3, 2)), [1, 1, 2], "Received: 3 images with a mean.* of 0.0"),
        (np.ones(3), [1, 1, 2], r"`features`.*Received: shape \(3,\)"),
        (np.eye(3) * np.nan, [1, 1, 2], "`features`.*3 of 3 rows"),
    ],
)
def test_within_captions_what_does_not_fit(features, caption_ids, message):
    with pytest.raises(ValueError, match=message):
        diversity_within_captions(features, caption_ids)


@pytest.mark.parametrize("seed", range(6))
def test_images_that_are_all_alike_have_no_diversity(seed):
    row = np.random.default_rng(seed).normal(size=64).astype("float32")
    rows = np.tile(row, (100, 1))
    with pytest.raises(ValueError, match="images with a mean.* of 0.0"):
        diversity_within_captions(rows, np.arange(100) // 2)


def test_small_differences_far_from_the_origin():
    generator = np.random.default_rng(0)
    rows = np.repeat(generator.normal(size=(50, 16)) * 1e-6, 2, axis=0)
    value = diversity_within_captions(1000.0 + rows, np.arange(100) // 2)
    assert value == pytest.approx(0.0, abs=1e-3)
