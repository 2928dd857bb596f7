import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.text import vocabulary_of
from keras_t2i.tokenizers import never_read_words
from keras_t2i.tokenizers import num_words
from keras_t2i.tokenizers import split_words
from keras_t2i.tokenizers import tokenize_words

VOCABULARY = ("a", "red", "rose", "é", "花", "straße")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A Red ROSE.", ["a", "red", "rose"]),
        ("five-petaled, (tiny) it's", ["five", "petaled", "tiny", "it", "s"]),
        ("6 petals", ["6", "petals"]),
        ("", []),
        (" \t\n.,", []),
        # Marks belong to the letter before them, composed or not.
        ("E\u0301tude", ["étude"]),
        ("न\u093fल", ["न\u093fल"]),
        # Right to left, wide, ideographs, emoji.
        ("שלום ＲＥＤ", ["שלום", "red"]),
        ("花 🌹 x", ["花", "x"]),
        ("a\0b a\ufffdb", ["a", "b", "a", "b"]),
        (b"a\xffb", ["a", "b"]),
    ],
)
def test_words_by_hand(text, words):
    split = split_words(tf.constant([text])).to_list()[0]
    assert [word.decode() for word in split] == words


def _ids(text, vocabulary=VOCABULARY):
    ids = tokenize_words(tf.constant([text]), vocabulary).numpy()
    assert ids.shape == (1, 201)
    assert ids.dtype == np.int32
    return np.trim_zeros(ids[0], "b").tolist()


def test_ids_are_places_in_the_vocabulary():
    assert _ids("A rose, a red rose") == [1, 3, 1, 2, 3]
    assert _ids("Straße É 花") == [0, 4, 5]  # "ß" folds to "ss".
    assert _ids("a blue rose") == [1, 0, 3]
    assert _ids("") == []
    assert _ids("x", ("x",)) == [1]


def test_many_words_are_found_whatever_their_hashes():
    vocabulary = tuple(f"word{number}" for number in range(3000))
    texts = tf.constant([f"{word} no{word}" for word in vocabulary])
    ids = tokenize_words(texts, vocabulary).numpy()
    np.testing.assert_array_equal(ids[:, 0], np.arange(1, 3001))
    assert not ids[:, 1:].any()


def test_long_texts_are_cut():
    assert _ids("a red " * 150) == [1, 2] * 100 + [1]
    texts = tf.constant(["a " * 201, "a " * 202, ""])
    assert num_words(texts).numpy().tolist() == [201, 202, 0]


def test_same_ids_in_a_stream_and_for_no_rows():
    texts = ["a rose", "", "red " * 300]
    dataset = tf.data.Dataset.from_tensor_slices(texts).batch(2)
    dataset = dataset.map(lambda rows: tokenize_words(rows, VOCABULARY))
    assert dataset.element_spec.shape.as_list() == [None, 201]
    np.testing.assert_array_equal(
        np.concatenate(list(dataset.as_numpy_iterator())),
        tokenize_words(tf.constant(texts), VOCABULARY),
    )
    none = tokenize_words(tf.constant([], tf.string), VOCABULARY)
    assert none.shape == (0, 201)


def test_vocabulary_is_ranked_by_frequency():
    texts = ["b a c", "B, c", "b"] * 700  # More than are counted at a time.
    assert vocabulary_of(iter(texts), 10) == ("b", "c", "a")
    assert vocabulary_of(texts, 2) == ("b", "c")
    assert vocabulary_of(["z y", "y z"], 2) == ("y", "z")


def test_half_a_surrogate_pair_is_no_part_of_a_word():
    assert vocabulary_of(["a \ud800 b\ud800"], 5) == ("a", "b")


@pytest.mark.parametrize("texts", [[], ["", "..."]])
def test_no_words_at_all(texts):
    with pytest.raises(ValueError, match="some words. Received: none"):
        vocabulary_of(texts, 5)


def test_no_size():
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        vocabulary_of(["a"], 0)


def test_words_that_no_text_has():
    wrong = ["\u00c9", "e\u0301", "\u00df", "a b", "", "a.", "a\0", "\ud800"]
    assert never_read_words(["a", *wrong, "\u00e9", "ss", "5"]) == wrong


def test_words_of_texts_are_words():
    texts = ["ＲＥＤ Straße, ΐ ŉ ǰ ᾳ\u0327 İ", "नि ﬁ Ⅷ 5²", "Ꭰ ꭰ ẞ ſ"]
    vocabulary = vocabulary_of(texts, 50)
    assert len(vocabulary) > 10
    assert never_read_words(vocabulary) == []


@pytest.mark.parametrize("texts", ["a red rose", [["a red rose"]], [b"rose"]])
def test_no_words_of_what_is_no_list_of_texts(texts):
    with pytest.raises(ValueError, match="`texts` must be .*Received: "):
        vocabulary_of(texts, 3)
