import numpy as np
import pytest

from keras_t2i.datasets.examples import ArrayExamples
from keras_t2i.datasets.sampling import MismatchedTexts


def _examples(captions, class_ids=None):
    images = np.zeros((len(captions), 1, 1, 3), np.uint8)
    return ArrayExamples(images, captions, class_ids, image_size=1)


def _samples(texts, index, count):
    generator = np.random.default_rng(0)
    return [texts.sample(index, generator) for _ in range(count)]


def _chi_square(samples, candidates):
    counts = [samples.count(candidate) for candidate in candidates]
    expected = len(samples) / len(candidates)
    return sum((count - expected) ** 2 / expected for count in counts)


# Classes of 1, 2, 4 and 3 images, in no order.
_CLASS_IDS = np.array([5, 0, 2, 5, 2, 7, 2, 7, 2, 7])


def test_never_of_the_same_class():
    texts = MismatchedTexts(_examples([["a"]] * 10, _CLASS_IDS))
    for index in range(10):
        samples = np.array(_samples(texts, index, 1000))
        assert (_CLASS_IDS[samples] != _CLASS_IDS[index]).all()


@pytest.mark.parametrize("index", range(10))
def test_uniform_over_the_images_of_all_other_classes(index):
    texts = MismatchedTexts(_examples([["a"]] * 10, _CLASS_IDS))
    samples = _samples(texts, index, 10_000)
    candidates = np.flatnonzero(_CLASS_IDS != _CLASS_IDS[index]).tolist()
    assert set(samples) == set(candidates)
    # With 9 or fewer candidates it exceeds 26.1 once in a thousand times.
    assert _chi_square(samples, candidates) < 26.1


def test_two_classes_of_which_one_is_small():
    class_ids = [0] * 50 + [1]
    texts = MismatchedTexts(_examples([["a"]] * 51, class_ids))
    assert set(_samples(texts, 7, 100)) == {50}
    assert set(_samples(texts, 50, 1000)) == set(range(50))


def test_without_classes_never_the_same_image():
    captions = [[f"caption {number}"] for number in range(6)]
    texts = MismatchedTexts(_examples(captions))
    for index in range(6):
        samples = _samples(texts, index, 2000)
        candidates = [number for number in range(6) if number != index]
        assert set(samples) == set(candidates)
        # 4 degrees of freedom: it exceeds 18.5 once in a thousand times.
        assert _chi_square(samples, candidates) < 18.5


def test_without_classes_never_an_image_that_shares_a_caption():
    captions = [["a", "b"], ["b", "c"], ["c"], ["d"], ["a"]]
    texts = MismatchedTexts(_examples(captions))
    for index, others in enumerate(
        [{2, 3}, {3, 4}, {0, 3, 4}, {0, 1, 2, 4}, {1, 2, 3}]
    ):
        assert set(_samples(texts, index, 2000)) == others


def test_without_classes_one_text_may_be_written_in_several_ways():
    captions = [["A Rose"], ["a  rose "], ["ａ rose"], ["a tulip"]]
    texts = MismatchedTexts(_examples(captions))
    assert set(_samples(texts, 0, 200)) == {3}
    with pytest.raises(ValueError, match="images that all share one"):
        MismatchedTexts(_examples(captions[:3]))


def test_a_lone_other_caption_among_many_is_found():
    captions = [["a flower"]] * 15 + [["a rose"]]
    texts = MismatchedTexts(_examples(captions))
    assert set(_samples(texts, 0, 200)) == {15}


def test_few_other_captions_among_very_many_are_found():
    captions = [["a flower"]] * 3000 + [["a rose"], ["a tulip"]]
    texts = MismatchedTexts(_examples(captions))
    # A hundred samples find none in 94 of 100 times.
    assert set(_samples(texts, 0, 30)) == {3000, 3001}


def test_captions_alone_are_compared(monkeypatch):
    captions = [["a photo", f"photo {n}"] for n in range(20_000)]
    captions += [["a rose"], ["a tulip"]]
    texts = MismatchedTexts(_examples(captions))
    # Reading a record for each comparison would take half a minute.
    monkeypatch.setattr(ArrayExamples, "read", None)
    assert set(_samples(texts, 7, 30)) == {20_000, 20_001}


def test_all_images_share_a_caption():
    with pytest.raises(
        ValueError,
        match="different captions. Received: images that all share one.*"
        "--preset gan.*mismatched=False",
    ):
        MismatchedTexts(_examples([["a flower", "red"], ["a flower"]]))


def test_an_image_shares_a_caption_with_each_other_one():
    texts = MismatchedTexts(_examples([["a"], ["a", "b"], ["b"]]))
    assert set(_samples(texts, 0, 10)) == {2}
    with pytest.raises(
        ValueError,
        match="different captions. Received: image 1, with which all others "
        "share a caption.*--preset gan",
    ):
        texts.sample(1, np.random.default_rng(0))


def test_one_class():
    with pytest.raises(
        ValueError, match=r"one class only \(3 images\).*--preset gan"
    ):
        MismatchedTexts(_examples([["a"], ["b"], ["c"]], [4, 4, 4]))


def test_one_image_without_class():
    with pytest.raises(
        ValueError, match="at least two images. Received: 1 .*--preset gan"
    ):
        MismatchedTexts(_examples([["a"]]))


class _Embeddings:
    """What `ExtractedEmbeddings` reads, from an array in memory."""

    def __init__(self, rows):
        self._rows = np.asarray(rows, np.float32)

    def read(self, index):
        return self._rows[index]


# Two captions an image; the mean of image 0 points to the right.
_DIRECTIONS = _Embeddings(
    [
        [[2.0, 1.0], [2.0, -1.0]],
        [[1.0, 0.0], [1.0, 0.0]],  # Of the same class as image 0.
        [[9.0, 9.0], [9.0, -1.0]],
        [[2.0, 0.1], [-9.0, 0.0]],  # One caption close, the mean far.
        [[0.0, 1.0], [0.0, 1.0]],
        [[-1.0, 0.0], [-1.0, 0.0]],
    ]
)
_TWO_OF_A_CLASS = [0, 0, 1, 2, 3, 4]


def test_the_nearest_of_many_candidates_is_sampled():
    examples = _examples([["a"]] * 6, _TWO_OF_A_CLASS)
    texts = MismatchedTexts(examples, _DIRECTIONS, num_candidates=100)
    assert set(_samples(texts, 0, 50)) == {2}
    assert set(_samples(texts, 5, 50)) == {3}


def test_of_two_candidates_the_nearer_one_is_sampled():
    examples = _examples([["a"]] * 6, _TWO_OF_A_CLASS)
    texts = MismatchedTexts(examples, _DIRECTIONS, num_candidates=2)
    samples = _samples(texts, 0, 16_000)
    # From near to far: 2, 4, 3, 5. Of two samples with replacement, the k-th
    # nearest of four is the nearer one in (9 - 2k) of 16 cases.
    shares = [samples.count(index) / 16_000 for index in (2, 4, 3, 5)]
    # Four standard errors of a share of 7/16.
    np.testing.assert_allclose(
        shares, np.array([7, 5, 3, 1]) / 16, atol=4 * 0.004
    )


def test_an_embedding_of_zeros_is_like_no_other():
    embeddings = _Embeddings([[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]])
    examples = _examples([["a"], ["b"], ["c"]])
    texts = MismatchedTexts(examples, embeddings, num_candidates=3)
    assert set(_samples(texts, 0, 100)) == {1, 2}
