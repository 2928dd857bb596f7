"""Strings to word ids, in TensorFlow: the same in training and serving."""

import collections
import itertools
from collections.abc import Iterable

import tensorflow as tf

from keras_t2i.text.alphabet import MAX_CHARACTERS
from keras_t2i.text.tokenizer import normalize
from keras_t2i.text.tokenizer import utf8

# Letters with their marks, and digits; everything else separates words.
_BETWEEN_WORDS = r"[^\pL\pM\pN]+"
# Few enough that what they become fits into memory.
_TEXTS_AT_A_TIME = 1000


def split_words(texts):
    """Splits texts into words, after `keras_t2i.text.normalize`.

    A word is a run of letters, with the marks that combine with them, and of
    digits.

    Args:
        texts: string tensor of shape `(batch,)`. UTF-8.

    Returns:
        Ragged string tensor of shape `(batch, None)`.

    Example:

    >>> from keras_t2i.text.words import split_words
    >>> split_words(tf.constant(["A red, five-petaled rose."])).to_list()
    [[b'a', b'red', b'five', b'petaled', b'rose']]
    """
    texts = tf.strings.regex_replace(normalize(texts), _BETWEEN_WORDS, " ")
    return tf.strings.split(texts)


def words_of_no_text(words: Iterable[str]) -> list[str]:
    """Lists the words that are not, as they are, words of any text.

    Args:
        words: iterable of strings, at least one.

    Returns:
        List of those that `split_words` splits or changes.

    Example:

    >>> from keras_t2i.text.words import words_of_no_text
    >>> words_of_no_text(["rose", "Rose", "dog rose", "!"])
    ['Rose', 'dog rose', '!']
    """
    words = list(words)
    encoded = utf8(words)
    split = split_words(tf.constant(encoded)).to_list()
    return [
        word
        for word, whole, parts in zip(words, encoded, split)
        if parts != [whole]
    ]


def tokenize_words(texts, vocabulary):
    """Turns texts into word ids.

    Each word takes one column: its place in the vocabulary, from 1, or 0 for a
    word outside it and for padding.

    Args:
        texts: string tensor of shape `(batch,)`. UTF-8.
        vocabulary: tuple of strings, as those of `vocabulary_of`.

    Returns:
        int32 tensor of shape `(batch, 201)`. Longer texts are cut.

    Example:

    >>> from keras_t2i.text.words import tokenize_words
    >>> ids = tokenize_words(tf.constant(["A blue rose"]), ("a", "rose"))
    >>> ids.shape, ids.numpy()[0, :4].tolist()
    (TensorShape([1, 201]), [1, 0, 2, 0])
    """
    words = split_words(texts)[:, :MAX_CHARACTERS]
    words = words.to_tensor(shape=(None, MAX_CHARACTERS))
    # A binary search among hashes, not a table: a table is a resource, which
    # whoever exports this would have to know of and to initialize.
    vocabulary = tf.constant(vocabulary)
    hashes = _hash(vocabulary)
    order = tf.argsort(hashes)
    places = tf.searchsorted(
        tf.gather(hashes, order), tf.reshape(_hash(words), [-1])
    )
    places = tf.gather(order, tf.minimum(places, tf.size(order) - 1))
    places = tf.reshape(places, tf.shape(words))
    is_known = tf.gather(vocabulary, places) == words
    return tf.where(is_known, places + 1, 0)


def has_more_words(texts):
    """Tells which texts `tokenize_words` cuts.

    Args:
        texts: string tensor of shape `(batch,)`. UTF-8.

    Returns:
        bool tensor of shape `(batch,)`.
    """
    return split_words(texts).row_lengths() > MAX_CHARACTERS


def vocabulary_of(texts: Iterable[str], size: int) -> tuple[str, ...]:
    """Lists the most frequent words.

    Args:
        texts: iterable of strings.
        size: int. How many words at most, at least 1.

    Returns:
        Tuple of strings, the most frequent first, and by the alphabet among
        equals.

    Raises:
        ValueError: `size` is below 1, or the texts hold no word.

    Example:

    >>> from keras_t2i.text.words import vocabulary_of
    >>> vocabulary_of(["a red rose", "A rose"], size=2)
    ('a', 'rose')
    """
    if size < 1:
        raise ValueError(f"`size` must be at least 1. Received: {size!r}")
    counts = collections.Counter()
    texts = iter(texts)
    while some := list(itertools.islice(texts, _TEXTS_AT_A_TIME)):
        words = split_words(tf.constant(utf8(some))).flat_values
        counts.update(words.numpy())
    if not counts:
        raise ValueError("`texts` must hold some words. Received: none")
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return tuple(word.decode() for word in ranked[:size])


def _hash(words):
    # Of 62 bits, of which no two words of a vocabulary are alike in practice.
    return tf.strings.to_hash_bucket_fast(words, 2**62)
