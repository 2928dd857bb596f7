import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from keras_t2i.text import normalize
from keras_t2i.text import tokenize
from keras_t2i.tokenizers import CHARACTER_IDS
from keras_t2i.tokenizers import Unread
from keras_t2i.tokenizers import tokenize_words
from keras_t2i.tokenizers import unread_by


def _ids(text):
    """The ids of one text, without the padding."""
    if isinstance(text, str):
        text = text.encode()
    ids = tokenize(tf.constant([text])).numpy()
    assert ids.shape == (1, 201)
    assert ids.dtype == np.int32
    return np.trim_zeros(ids[0], "b").tolist()


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a rose.", [1, 70, 18, 15, 19, 5, 40]),
        ("x-9 ", [24, 60, 36, 70]),
        ("", []),
        # Case folding goes further than lower case.
        ("Rose", [18, 15, 19, 5]),
        ("Straße", [19, 20, 18, 1, 19, 19, 5]),
        # U+0130 folds to "i" and a combining dot, which is unknown.
        ("\u0130a", [9, 0, 1]),
        # NFKC: a ligature, full width, a circled digit, a wide space.
        ("\ufb01r", [6, 9, 18]),
        ("\uff32\uff25\uff24", [18, 5, 4]),
        ("\u2460a", [28, 1]),
        ("a\u3000b", [1, 70, 2]),
        # Composed or not, "é" is one unknown character.
        ("\u00e9a", [0, 1]),
        ("e\u0301a", [0, 1]),
        # One column a code point, not one a byte.
        ("🌹a", [0, 1]),
        ("花a", [0, 1]),
        ("👩\u200d🌾a", [0, 0, 0, 1]),
        # A variation selector and a soft hyphen, which folding would drop.
        ("❤\ufe0fa", [0, 0, 1]),
        ("a\u00adb", [1, 0, 2]),
        ("a\nb\tc", [1, 0, 2, 0, 3]),
        ("a\0b", [1, 0, 2]),
        # Invalid bytes: a stray one, a cut sequence, half a surrogate pair.
        (b"a\xffb", [1, 0, 2]),
        (b"a\xe2\x82", [1]),
        (b"a\xe2\x82b", [1, 0, 2]),
    ],
)
def test_ids_by_hand(text, ids):
    assert _ids(text) == ids


def test_half_a_surrogate_pair_is_unknown():
    ids = _ids(b"a\xed\xa0\x80b")
    assert ids[0] == 1
    assert ids[-1] == 2
    assert set(ids[1:-1]) == {0}


def test_long_texts_are_cut():
    assert _ids("ab" * 200) == [1, 2] * 100 + [1]
    assert _ids("花" * 200 + "ab") == [0] * 200 + [1]
    # "ß" becomes two characters before the text is cut.
    assert _ids("a" * 200 + "ß") == [1] * 200 + [19]


def test_rows_do_not_touch_each_other():
    texts = ["a", "", "b" * 500, "花"]
    together = tokenize(tf.constant(texts)).numpy()
    alone = [tokenize(tf.constant([text])).numpy()[0] for text in texts]
    np.testing.assert_array_equal(together, alone)


def test_no_rows():
    assert tokenize(tf.constant([], tf.string)).shape == (0, 201)


def test_same_ids_in_a_stream_of_unknown_batch_size():
    texts = tf.constant(["A rose", "eine Blüte", "x"])
    dataset = tf.data.Dataset.from_tensor_slices(texts).batch(2).map(tokenize)
    assert dataset.element_spec.shape.as_list() == [None, 201]
    np.testing.assert_array_equal(
        np.concatenate(list(dataset.as_numpy_iterator())), tokenize(texts)
    )


def test_every_letter_of_the_alphabet_is_read_back():
    text = "abcdefghijklmnopqrstuvwxyz0123456789"
    assert _ids(text) == list(range(1, 37))
    text = ",;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} "
    assert _ids(text) == list(range(38, 71))


def test_every_code_point_is_what_python_makes_of_it():
    # Up to Latin Extended-A, and the blocks of symbols and of emoji.
    code_points = [*range(1, 0x180), *range(0x2000, 0x2800), 0x3164, 0xFFA0]
    code_points += [*range(0xFE00, 0xFFFD), *range(0x1F300, 0x1F650)]
    texts = [f"x{chr(code_point)}y" for code_point in code_points]
    ids = tokenize(tf.constant(texts)).numpy()
    for text, row in zip(texts, ids):
        folded = unicodedata.normalize("NFKC", text).casefold()
        expected = [
            CHARACTER_IDS[ord(character)] if character.isascii() else 0
            for character in folded
        ]
        assert np.trim_zeros(row, "b").tolist() == expected, ascii(text)


def test_normalize_keeps_the_shape():
    texts = normalize(tf.constant([["A", "ﬁ"], [b"\xff", ""]]))
    expected = [[b"a", b"fi"], ["\ufffd".encode(), b""]]
    np.testing.assert_array_equal(texts.numpy(), np.array(expected, object))
    assert normalize(tf.constant("A")).numpy() == b"a"


def test_normalize_is_stable():
    texts = tf.constant(["Straße", "①", "e\u0301", b"a\xff", "İ"])
    once = normalize(texts)
    np.testing.assert_array_equal(once, normalize(once))


def test_long_captions_are_counted_as_they_are_read():
    short = ["a" * 201, "é" * 201, "e\u0301" * 201, "🌹" * 201, "ß" * 100]
    long = ["a" * 202, "ß" * 101, "花" * 202, "\ufb01" * 101, "a\0" * 101]
    long += ["x" * 200 + "İ", "\ud800" * 202]
    assert unread_by(None, short).num_cut == 0
    assert unread_by(None, short + long).num_cut == len(long)
    assert unread_by(_LongTexts(), ["a"] * 1001).num_cut == 1001
    assert unread_by(None, []) == Unread()


def test_unknown_characters_are_counted():
    # Those that are read: not what is cut, and after normalization.
    texts = ["a red rose", "une fleur fanée", "красный цветок", "ＲＥＤ-", ""]
    unread = unread_by(None, [*texts, "a" * 201 + "é"])
    assert unread == Unread(1, 2, 10 + 15 + 14 + 4 + 201, 1 + 13)
    assert not unread.is_most
    assert unread_by(None, ["красный цветок", "红色的花"]).is_most
    assert not unread_by(None, []).is_most
    # Those of an encoder that nothing is known of are not counted.
    assert unread_by(_OwnTokens(), ["红色的花"]) == Unread()


class _OwnTokens:
    """A text encoder of its user, as far as texts go."""

    def tokenize(self, texts):
        return tf.zeros((len(texts), 3), "int32")


class _LongTexts(_OwnTokens):
    """An encoder that counts its tokens too."""

    def lengths(self, texts):
        return np.full(len(texts), 202)


@pytest.mark.parametrize(
    "texts, received",
    [("a rose", r"string of shape \(\)"), ([["a"]], "string"), ([3], "int32")],
)
def test_what_is_no_batch_of_texts(texts, received):
    with pytest.raises(ValueError, match=f"`texts` must.*Received: {received}"):
        tokenize(texts)
    with pytest.raises(ValueError, match=f"`texts` must.*Received: {received}"):
        tokenize_words(texts, ("rose",))


def test_no_texts():
    assert tokenize([]).shape == (0, 201)
