import numpy as np
import pytest

from keras_t2i.metrics import caption_recall
from keras_t2i.metrics import class_means
from keras_t2i.metrics import interpolation_premise
from keras_t2i.metrics import linear_probe_accuracy
from keras_t2i.metrics import r_precision
from keras_t2i.metrics import retrieval_precision
from keras_t2i.metrics import zero_shot_accuracy

# Along the first axis the images rank 0, 1, 2, 3; along the second 3, 2, 1, 0.
IMAGES = np.array([[4.0, 0], [3, 1], [2, 2], [1, 3]])
CLASSES = [2, 6]


def test_means_by_hand():
    rows = np.array([[1, 2], [3, 4], [5, 0], [7, 9]], "float32")
    classes, means = class_means(rows, np.array([5, 3, 5, 5]))
    assert classes.tolist() == [3, 5]
    np.testing.assert_allclose(means, [[3, 4], [13 / 3, 11 / 3]])


def test_accuracy_by_hand():
    # Dot products, so a long text wins where cosines would not: image 2 scores
    # 2 * 3 for class 8 and 4 for class 1.
    images = np.array([[1.0, 0.0], [-1.0, 5.0], [4.0, 2.0], [0.0, -1.0]])
    texts = np.array([[1.0, 0.0], [0.0, 3.0]])
    accuracy = zero_shot_accuracy(images, [1, 8, 8, 1], [1, 8], texts)
    assert accuracy == 1.0
    assert zero_shot_accuracy(images, [8, 8, 1, 1], [1, 8], texts) == 0.5


def test_it_counts_images_not_classes():
    images = np.array([[1.0, 0]] * 9 + [[1.0, 0]])
    accuracy = zero_shot_accuracy(images, [0] * 9 + [1], [0, 1], np.eye(2))
    assert accuracy == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("image_classes", "k", "expected"),
    [
        ([2, 2, 6, 6], 2, 1.0),
        # Class 2 finds images 0 and 1, of which one is its own; class 6 finds
        # 3 and 2, both its own.
        ([2, 6, 6, 6], 2, 0.75),
        ([2, 6, 6, 6], 1, 1.0),
        ([6, 6, 2, 2], 2, 0.0),
        # A class of one image finds it and three others.
        ([2, 6, 6, 6], 4, (1 / 4 + 3 / 4) / 2),
    ],
)
def test_retrieval_precision_by_hand(image_classes, k, expected):
    precision = retrieval_precision(
        IMAGES, image_classes, CLASSES, np.eye(2), k=k
    )
    assert precision == pytest.approx(expected)


def test_fifty_is_published():
    images = -np.arange(60.0)[:, None]
    precision = retrieval_precision(
        images, [0] * 25 + [1] * 35, [0, 1], [[1], [-1]]
    )
    # The first fifty, with all 25 of one class; from the end, with all 35 of
    # the other.
    assert precision == pytest.approx((25 / 50 + 35 / 50) / 2)


def test_highest_retrieval_precision():
    # Each text finds the images of its class first.
    sizes = [3, 10, 60]
    classes = np.arange(3)
    images = np.repeat(np.eye(3), sizes, axis=0)
    precision = retrieval_precision(
        images, np.repeat(classes, sizes), classes, np.eye(3), k=50
    )
    assert precision == pytest.approx((3 / 50 + 10 / 50 + 1) / 3)


def test_caption_recall_by_hand():
    images = np.eye(3)
    captions = np.array(
        [
            [3.0, 2, 1],  # Finds 0, 1, 2.
            [1.0, 2, 3],  # Finds 2, 1, 0.
            [2.0, 3, 1],  # Finds 1, 0, 2.
            [2.0, 3, 1],
        ]
    )
    recall = caption_recall(images, captions, [0, 0, 0, 1], ks=(1, 2, 3))
    assert recall == {1: 0.5, 2: 0.75, 3: 1.0}


def test_embeddings_that_are_all_alike_find_nothing():
    recall = caption_recall(
        np.ones((20, 2)), np.ones((20, 2)), range(20), (10,)
    )
    assert recall == {10: 0.0}


@pytest.mark.parametrize("of", ["images", "captions", "one image"])
def test_nan_finds_nothing(of):
    images, captions = np.eye(20), np.eye(20)
    if of == "captions":
        captions = np.full((20, 20), np.nan)
    else:
        images[slice(None) if of == "images" else 3] = np.nan
    recall = caption_recall(images, captions, range(20), (1, 10))
    # Otherwise each caption's own image is first, and the damaged one second.
    expected = {1: 0.0, 10: 19 / 20} if of == "one image" else {1: 0, 10: 0}
    assert recall == pytest.approx(expected)


def test_more_captions_than_at_a_time():
    generator = np.random.default_rng(0)
    images = generator.normal(size=(30, 4))
    own = generator.integers(30, size=2500)
    captions = images[own] + 0.5 * generator.normal(size=(2500, 4))
    scores = captions @ images.T
    ranks = [np.sum(row > row[i]) for row, i in zip(scores, own)]
    recall = caption_recall(images, captions, own, (5,))
    assert recall[5] == pytest.approx(np.mean(np.array(ranks) < 5))
    assert 0.3 < recall[5] < 1


def test_r_precision_by_hand():
    texts = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    images = np.array(
        [
            [5.0, 1],  # Finds its own.
            [2.0, 1],  # Finds the first.
            [-1.0, 3],  # Finds the second.
            [0.1, -2],  # Finds its own.
        ]
    )
    assert r_precision(images, texts, [1, 2, 3, 4], num_others=3) == 0.5
    # The first text does not compete with one of its own class.
    assert r_precision(images, texts, [2, 2, 3, 3], num_others=2) == 0.75


def test_length_does_not_count():
    texts = np.array([[1.0, 0], [0, 100]])
    images = np.array([[2.0, 1], [0.001, 0.002]])
    assert r_precision(images, texts, [0, 1], num_others=1) == 1


def test_against_all_texts_of_other_classes():
    generator = np.random.default_rng(0)
    classes = generator.permutation(np.repeat([3, -1, 8, 5, 7], 12))
    texts = generator.normal(size=(60, 16))
    images = texts + 1.2 * generator.normal(size=(60, 16))
    right = 0
    for image, text, own_class in zip(images, texts, classes):
        others = texts[classes != own_class]
        cosines = others @ image / np.linalg.norm(others, axis=1)
        right += text @ image / np.linalg.norm(text) > cosines.max()
    assert 0.2 < right / 60 < 0.8
    # All 48 of them compete.
    measured = r_precision(images, texts, classes, num_others=48)
    assert measured == pytest.approx(right / 60)


def test_several_images_of_a_caption():
    generator = np.random.default_rng(0)
    classes = generator.permutation(np.repeat([3, 8, 5], 4))
    texts = generator.normal(size=(12, 16))
    captions = generator.integers(12, size=50)
    images = texts[captions] + 2.0 * generator.normal(size=(50, 16))
    # All 8 captions of other classes compete, each once.
    measured = r_precision(
        images, texts, classes, num_others=8, caption_of_image=captions
    )
    right = 0
    for image, own in zip(images, captions):
        cosines = texts @ image / np.linalg.norm(texts, axis=1)
        right += cosines[own] > cosines[classes != classes[own]].max()
    assert 0.2 < right / 50 < 0.9
    assert measured == pytest.approx(right / 50)
    # There is no ninth, however many images there are.
    with pytest.raises(ValueError, match="hold 9 texts.*Received: 8"):
        r_precision(
            images, texts, classes, num_others=9, caption_of_image=captions
        )


def test_the_others_are_uniform_and_without_replacement():
    # To all images the first text is nearest, then the second, and so on. By
    # symmetry the first of four is the own one in a quarter of the cases; it
    # would be 0.278 with replacement.
    angles = np.arange(10) / 10
    texts = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    images = np.tile([1.0, 0.0], (10, 1))
    classes = np.random.default_rng(0).permutation(10)
    measured = [
        r_precision(images, texts, classes, num_others=3, seed=seed)
        for seed in range(500)
    ]
    assert np.std(measured) / np.sqrt(500) < 0.005
    assert np.mean(measured) == pytest.approx(0.25, abs=0.014)


def test_the_seed_is_that_of_the_others():
    generator = np.random.default_rng(0)
    images, texts = generator.normal(size=(2, 300, 4))
    first, again, other = (
        r_precision(images, texts, range(300), 5, seed=seed)
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_chance_is_one_in_a_hundred():
    generator = np.random.default_rng(0)
    images, texts = generator.normal(size=(2, 4000, 8))
    measured = r_precision(images, texts, range(4000))
    # Three standard errors.
    assert measured == pytest.approx(0.01, abs=0.0048)


@pytest.mark.parametrize("num_others", [1, 2, 3, 4, 6, 9, 99])
@pytest.mark.parametrize("embedding_dim", [3, 33, 150])
def test_ties_count_against(num_others, embedding_dim):
    # All texts are alike, in numbers that round.
    generator = np.random.default_rng(0)
    texts = np.tile(generator.normal(size=embedding_dim), (120, 1))
    images = generator.normal(size=(120, embedding_dim))
    assert r_precision(images, texts, range(120), num_others) == 0


def test_embeddings_of_zeros_are_as_near_to_all():
    texts = np.random.default_rng(0).normal(size=(120, 33))
    nothing = np.zeros((120, 33))
    assert r_precision(nothing, texts, range(120)) == 0
    assert r_precision(texts, nothing, range(120)) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (np.ones((4, 2)), np.ones((3, 2)), range(4)),
            "unless `caption_of_image` is given. Received: 4 images and 3 t",
        ),
        (
            (np.ones((4, 2)), np.ones((4, 2)), range(3)),
            r"`class_ids` must hold one value for each of 4 rows.*\(3,\)",
        ),
        (
            (np.ones((100, 2)), np.ones((100, 2)), [7, 7, *range(10, 108)]),
            "hold 99 texts of other classes.*Received: 98 .* of class 7",
        ),
        (
            (np.ones((4, 2)), np.ones((4, 2)), range(4), 0),
            "`num_others`.*Received: 0",
        ),
        ((np.ones((4, 2)), np.ones((4, 3)), range(4)), "'text_embeddings': 3"),
        (
            (np.full((4, 2), np.nan), np.ones((4, 2)), range(4)),
            "`image_embeddings` must hold finite.*4 of 4 rows",
        ),
    ],
)
def test_what_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        r_precision(*arguments)


A = np.array([[2.0, 0.0], [0.0, 2.0]])
B = np.array([[2.0, 2.0], [-2.0, 2.0]])


def test_what_is_linear_is_read():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(400, 5)) * [1, 10, 100, 0.1, 0] + 7
    labels = np.where(rows[:, 1] > 7, "right", "left")
    accuracy = linear_probe_accuracy(
        rows[:300], labels[:300], rows[300:], labels[300:]
    )
    assert accuracy > 0.93


def test_against_the_normal_equations():
    # One standardized feature and two labels: the sign of the feature decides.
    rows = np.array([[-3.0], [-1.0], [1.0], [3.0]])
    test = np.array([[-0.5], [0.5], [0.1]])
    accuracy = linear_probe_accuracy(rows, [0, 0, 1, 1], test, [0, 1, 0])
    assert accuracy == pytest.approx(2 / 3)


def test_what_is_not_there_is_not_read():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(2000, 3))
    labels = generator.integers(4, size=2000)
    accuracy = linear_probe_accuracy(
        rows[:1000], labels[:1000], rows[1000:], labels[1000:]
    )
    assert accuracy == pytest.approx(0.25, abs=0.06)


def test_labels_that_were_never_seen_are_wrong():
    rows = np.array([[0.0], [1.0]])
    assert linear_probe_accuracy(rows, ["a", "b"], rows, ["a", "c"]) == 0.5


def test_interpolation_premise_by_hand():
    # Means [2, 1] and [-1, 2].
    between = np.array([[4.0, 2.0], [2.0, -4.0]])
    cosines = interpolation_premise(A, B, between)
    assert cosines["between"] == pytest.approx((1 - 1) / 2)
    # The first mean against the second sentence, and the other way round: both
    # are at right angles.
    assert cosines["random"] == pytest.approx(0, abs=1e-12)


def test_the_mean_itself_is_as_near_as_can_be():
    cosines = interpolation_premise(A, B, (A + B) / 2)
    assert cosines["between"] == pytest.approx(1)
    assert cosines["centered_between"] == pytest.approx(1)
    assert cosines["random"] < 0.5


def test_what_all_have_in_common_is_taken_away():
    between = (A + B) / 2
    far = np.array([100.0, 100.0])
    cosines = interpolation_premise(A + far, B + far, between + far)
    assert cosines["random"] > 0.99
    near = interpolation_premise(A, B, between)
    assert cosines["centered_random"] == pytest.approx(near["centered_random"])


def test_one_pair_has_no_other():
    with pytest.raises(ValueError, match="at least two .*Received: 1"):
        interpolation_premise(A[:1], B[:1], A[:1])


_NAN = np.full((2, 2), np.nan)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda: zero_shot_accuracy(_NAN, [0, 1], [0, 1], np.eye(2)), "finite"),
        (
            lambda: retrieval_precision(_NAN, [0, 1], [0, 1], np.eye(2)),
            "finite",
        ),
        (lambda: linear_probe_accuracy(_NAN, [0, 1], _NAN, [0, 1]), "finite"),
        (lambda: interpolation_premise(_NAN, _NAN, _NAN), "finite"),
        (
            lambda: interpolation_premise(
                np.eye(2), np.ones((1, 2)), np.eye(2)
            ),
            "one row per pair.*2, 1 and 2 rows",
        ),
        (
            lambda: zero_shot_accuracy(np.eye(3), [0] * 3, [0, 1], np.eye(2)),
            "same number of features",
        ),
        (
            lambda: retrieval_precision(
                np.eye(2), [0, 1], [0, 1], np.eye(2), k=0
            ),
            "`k` must be a whole number of at least 1",
        ),
    ],
)
def test_what_would_give_a_wrong_number(measure, message):
    with pytest.raises(ValueError, match=message):
        measure()


@pytest.mark.parametrize(
    ("image_classes", "classes"),
    [
        ([[2], [2], [6], [6]], CLASSES),
        ([2, 2, 6, 6], [[2], [6]]),
        ([2, 2, 6, 6], [2, 6, 8]),
        ([2, 2, 6, 6], [2]),
        ([2], CLASSES),
        ([2, 2, 6, 6, 6], CLASSES),
    ],
)
@pytest.mark.parametrize("measure", [zero_shot_accuracy, retrieval_precision])
def test_each_row_needs_a_class(measure, image_classes, classes):
    with pytest.raises(ValueError, match="must hold one.*Received: an array"):
        measure(IMAGES, image_classes, classes, np.eye(2))


@pytest.mark.parametrize("labels", [[[2], [2], [6], [6]], [2], [2, 2, 6]])
def test_each_row_needs_a_label(labels):
    whole = [2, 2, 6, 6]
    with pytest.raises(ValueError, match="`labels` must hold one value for"):
        linear_probe_accuracy(IMAGES, labels, IMAGES, whole)
    with pytest.raises(ValueError, match="`test_labels` must hold one value"):
        linear_probe_accuracy(IMAGES, whole, IMAGES, labels)


@pytest.mark.parametrize("images", [[0], [0, 1, 2], [[0], [1], [2], [3]]])
def test_each_caption_needs_an_image(images):
    with pytest.raises(ValueError, match="`image_of_caption` must hold one"):
        caption_recall(IMAGES, IMAGES, images, (1,))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_small_types_do_not_overflow(dtype):
    # 16 times 16 is 0 in 8 bits.
    rows = (16 * np.eye(4)).astype(dtype)
    assert caption_recall(rows, rows, range(4), (1,)) == {1: 1.0}


def test_half_precision_does_not_overflow():
    # 180,000 and 150,000 are both infinite in 16 bits.
    images = np.array([[300, 300], [300, 200]], "float16")
    assert caption_recall(images, images[:1], [0], (1,)) == {1: 1.0}
