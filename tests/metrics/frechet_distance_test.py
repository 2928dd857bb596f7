import numpy as np
import pytest

from keras_t2i.metrics import frechet_distance


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
def test_what_does_not_fit(real, generated, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(real, generated)
