import sys

import numpy as np
import pytest

from keras_t2i.metrics import style_clusters
from keras_t2i.metrics import style_verification
from keras_t2i.metrics.style_separation import _pairs


def _auc_by_hand(positives, negatives):
    """The share of pairs of pairs that are in the right order."""
    difference = positives[:, None] - negatives[None, :]
    return np.mean((difference > 0) + 0.5 * (difference == 0))


def test_auc_by_hand():
    generator = np.random.default_rng(0)
    clusters = generator.integers(0, 5, 60)
    features = generator.normal(size=(60, 3)) + clusters[:, None]
    curves = style_verification({"S": features}, clusters, 1000, seed=3)
    first, second, same = _pairs(clusters, 1000, 3)
    a, b = features[first], features[second]
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines = np.sum(a * b, axis=1) / norms
    expected = _auc_by_hand(cosines[same], cosines[~same])
    assert 0.5 < expected < 0.95
    curve = curves["S"]
    assert curve.auc == pytest.approx(expected, abs=1e-9)
    # A point of the curve: all above a threshold are accepted.
    threshold = np.median(cosines)
    false = np.mean(cosines[~same] >= threshold)
    true = np.mean(cosines[same] >= threshold)
    on_curve = np.interp(
        false, curve.false_positive_rates, curve.true_positive_rates
    )
    assert on_curve == pytest.approx(true, abs=0.01)


def test_what_says_nothing_of_the_style_is_at_chance():
    generator = np.random.default_rng(0)
    clusters = generator.integers(0, 4, 400)
    style = np.eye(4)[clusters] + 0.1 * generator.normal(size=(400, 4))
    text = generator.normal(size=(400, 16))
    curves = style_verification({"S(x)": style, "text": text}, clusters)
    assert list(curves) == ["S(x)", "text"]
    assert curves["S(x)"].auc > 0.99
    assert curves["text"].auc == pytest.approx(0.5, abs=0.03)


def test_length_does_not_count():
    features = np.array([[1.0, 0], [9, 0], [0, 0.1], [0, 70]])
    clusters = np.array([7, 7, -2, -2])
    assert style_verification({"S": features}, clusters)["S"].auc == 1.0


def test_pairs_are_uniform_over_all_pairs():
    # Of one cluster: three pairs of the first, one of the second, none of the
    # third; of two: 3 * 2 + 3 * 1 + 2 * 1.
    clusters = np.array([5, 8, 5, 9, 8, 5])
    first, second, same = _pairs(clusters, 60_000, 0)
    assert same.sum() == 30_000
    assert (first != second).all()
    np.testing.assert_array_equal(clusters[first] == clusters[second], same)
    counts = {}
    for a, b in zip(np.minimum(first, second), np.maximum(first, second)):
        counts[a, b] = counts.get((a, b), 0) + 1
    of_one = [n for (a, b), n in counts.items() if clusters[a] == clusters[b]]
    of_two = [n for (a, b), n in counts.items() if clusters[a] != clusters[b]]
    assert len(of_one) == 4 and len(of_two) == 11
    np.testing.assert_allclose(of_one, 30_000 / 4, rtol=0.1)
    np.testing.assert_allclose(of_two, 30_000 / 11, rtol=0.1)


def test_the_seed_is_that_of_the_pairs():
    generator = np.random.default_rng(0)
    clusters = generator.integers(0, 4, 50)
    features = {"S": generator.normal(size=(50, 3))}
    aucs = [
        style_verification(features, clusters, 200, seed=seed)["S"].auc
        for seed in (0, 0, 1)
    ]
    assert aucs[0] == aucs[1] != aucs[2]


@pytest.mark.parametrize(
    ("clusters", "received"),
    [
        ([0, 0, 0], r"shape \(3,\) with 1 clusters"),
        ([0, 1, 2], r"shape \(3,\) with 3 clusters"),
        ([[0, 0, 1]], r"shape \(1, 3\)"),
    ],
)
def test_clusters_that_make_no_pairs(clusters, received):
    with pytest.raises(ValueError, match=f"`clusters`.*Received: {received}"):
        style_verification({"S": np.zeros((3, 2))}, clusters)


@pytest.mark.parametrize("shape", [(4, 2), (3,)])
def test_features_must_fit(shape):
    with pytest.raises(ValueError, match="each of 3 images.*'S' of shape"):
        style_verification({"S": np.zeros(shape)}, [0, 0, 1])


def test_clusters_are_found():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 6, 200)
    colors = 40.0 * truth[:, None] + generator.normal(size=(200, 3))
    clusters = style_clusters(colors, 6)
    for cluster in range(6):
        assert len(set(truth[clusters == cluster])) == 1
    np.testing.assert_array_equal(style_clusters(colors, 6), clusters)


@pytest.mark.parametrize(
    "descriptors",
    [np.zeros((3, 2)), np.zeros(8)],
)
def test_descriptors_that_make_no_clusters(descriptors):
    with pytest.raises(ValueError, match="`descriptors`.*at least 4"):
        style_clusters(descriptors, 4)


def test_numbers_must_be_finite():
    rows = np.zeros((8, 2))
    rows[3, 1] = np.nan
    message = "must hold finite numbers.*in 1 of 8 rows"
    with pytest.raises(ValueError, match=f"`descriptors` {message}"):
        style_clusters(rows, 4)
    features = {"S": np.ones((8, 2)), "T": rows}
    with pytest.raises(ValueError, match=rf"`features\['T'\]` {message}"):
        style_verification(features, [0, 1] * 4)


@pytest.mark.parametrize("num_pairs", [1, 0, -2, 10.5])
def test_too_few_pairs(num_pairs):
    with pytest.raises(ValueError, match=f"at least 2. Received: {num_pairs}"):
        style_verification({"S": np.ones((4, 2))}, [0, 1] * 2, num_pairs)


def test_without_scikit_learn(monkeypatch):
    """As where it is not installed: its import fails."""
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "sklearn.metrics", raising=False)
    with pytest.raises(ImportError, match=r"keras-t2i\[metrics\]"):
        style_verification({"S": np.eye(3)}, [0, 0, 1])
