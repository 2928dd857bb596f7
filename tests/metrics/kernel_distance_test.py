import itertools

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from keras_t2i.metrics import kernel_distance
from keras_t2i.metrics import row_blocks


def _features(num_images, num_features, seed, shift=0.0):
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
    real, generated = _features(12, 5, 0), _features(12, 5, 1, shift=0.3)
    mean, _ = kernel_distance(real, generated)
    assert mean == pytest.approx(_by_double_sum(real, generated))


def test_against_scikit_learn():
    # No more images of the one than of the other here: each subset has them
    # all.
    real, generated = _features(40, 30, 0), _features(40, 30, 1, shift=0.2)
    within = [
        np.sum(kernel) - np.trace(kernel)
        for kernel in (polynomial_kernel(real), polynomial_kernel(generated))
    ]
    between = polynomial_kernel(real, generated).mean()
    expected = sum(within) / (40 * 39) - 2 * between
    mean, _ = kernel_distance(real, generated, num_subsets=3)
    assert mean == pytest.approx(expected)


def test_subsets_are_uniform_and_without_replacement():
    real, generated = _features(6, 3, 0), _features(5, 3, 1, shift=0.5)
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
    real, generated = _features(7, 3, 0), _features(4, 3, 1)
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
            _features(10, 4, seed), _features(10, 4, 1000 + seed), 1
        )[0]
        for seed in range(400)
    ]
    error = np.std(means) / np.sqrt(len(means))
    assert error < 0.1
    assert abs(np.mean(means)) < 3 * error
    assert min(means) < 0


def test_other_distributions_are_apart():
    real = _features(200, 8, 0)
    near = kernel_distance(real, _features(200, 8, 1, shift=0.1))[0]
    far = kernel_distance(real, _features(200, 8, 1, shift=0.5))[0]
    assert 0 < near < 0.3 * far


def test_the_seed_is_that_of_the_subsets():
    real, generated = _features(30, 3, 0), _features(30, 3, 1)
    first, again, other = (
        kernel_distance(real, generated, 5, 10, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first[0] != other[0]


@pytest.mark.parametrize("values", [1, 45, 300])
def test_blocks_do_not_count(values, monkeypatch):
    real, generated = _features(40, 3, 0), _features(23, 3, 1)
    expected = kernel_distance(real, generated, 5, 10)
    monkeypatch.setattr(row_blocks, "_VALUES_AT_A_TIME", values)
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
def test_what_does_not_fit(real, generated, message):
    with pytest.raises(ValueError, match=message):
        kernel_distance(real, generated)
