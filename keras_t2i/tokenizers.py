"""Strings to ids of characters or words: the same in training and serving."""

import collections
import itertools
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

# "-" stands twice, as in the published code, whose look-up keeps the later
# place: column 37 is never set.
ALPHABET = (
    "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} "
)

# A code point below 128 -> its place in the alphabet, from 1; 0 elsewhere.
CHARACTER_IDS = [0] * 128
for _place, _character in enumerate(ALPHABET, start=1):
    CHARACTER_IDS[ord(_character)] = _place

# Characters beyond this many are cut (Reed et al., 2016, CVPR).
MAX_CHARACTERS = 201
# What Unicode calls default ignorable, as far as NFKC leaves it: joiners,
# variation selectors, soft hyphens. RE2 knows no name for them.
_IGNORABLE = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
# Letters with their marks, and digits; everything else separates words.
_BETWEEN_WORDS = r"[^\pL\pM\pN]+"
# Few enough that what they become fits into memory.
_TEXTS_AT_A_TIME = 1000


def normalize(texts):
    """Makes any bytes a canonical Unicode text.

    Invalid UTF-8 is replaced by U+FFFD, then Unicode's NFKC and its case
    folding are applied. Characters that are not shown, such as joiners, become
    U+FFFD too.

    Args:
        texts: string tensor of any shape. UTF-8.

    Returns:
        String tensor of the same shape.

    Example:

    >>> texts = keras_t2i.text.normalize(tf.constant(["ＲＥＤ Rose"]))
    >>> texts.numpy()[0].decode()
    'red rose'
    """
    # NormalizeUTF8 would pass invalid bytes on unchanged.
    texts = tf.strings.unicode_transcode(
        texts, "UTF-8", "UTF-8", errors="replace"
    )
    texts = tf_text.normalize_utf8(texts, "NFKC")
    # Case folding would drop them, but a code point takes a column.
    texts = tf.strings.regex_replace(texts, _IGNORABLE, "\ufffd")
    return tf_text.case_fold_utf8(texts)


def utf8(texts: list[str]) -> list[bytes]:
    r"""Encodes strings for TensorFlow, which fails at some of them.

    Args:
        texts: list of strings. Half of a surrogate pair, which Python allows,
            becomes invalid UTF-8, that `normalize` replaces like any other.

    Returns:
        List of bytes.

    Example:

    >>> from keras_t2i.tokenizers import utf8
    >>> utf8(["é", "\ud800"])
    [b'\xc3\xa9', b'\xed\xa0\x80']
    """
    return [text.encode("utf-8", "surrogatepass") for text in texts]


def tokenize(texts):
    """Turns texts into the character ids that `CharCNNRNN` reads.

    After `normalize`, each code point takes one column: its place in the
    alphabet from 1 to 70, or 0 for a character outside it and for padding.

    Args:
        texts: string tensor of shape `(batch,)`. UTF-8.

    Returns:
        int32 tensor of shape `(batch, 201)`. Longer texts are cut.

    Example:

    >>> ids = keras_t2i.text.tokenize(tf.constant(["a 1é"]))
    >>> ids.shape, ids.numpy()[0, :5].tolist()
    (TensorShape([1, 201]), [1, 70, 28, 0, 0])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), section 4.
    """
    code_points = tf.strings.unicode_decode(normalize(texts), "UTF-8")
    # Cut before the padding, so that one long text costs nobody memory.
    code_points = code_points[:, :MAX_CHARACTERS]
    code_points = code_points.to_tensor(shape=(None, MAX_CHARACTERS))
    table = tf.constant(CHARACTER_IDS, tf.int32)
    in_table = code_points < len(CHARACTER_IDS)
    ids = tf.gather(table, tf.where(in_table, code_points, 0))
    return tf.where(in_table, ids, 0)


def has_more_characters(texts):
    """Tells which texts `tokenize` cuts.

    Args:
        texts: string tensor of shape `(batch,)`. UTF-8.

    Returns:
        bool tensor of shape `(batch,)`.

    Example:

    >>> from keras_t2i.tokenizers import has_more_characters
    >>> has_more_characters(tf.constant(["a" * 201, "a" * 202])).numpy()
    array([False,  True])
    """
    lengths = tf.strings.length(normalize(texts), unit="UTF8_CHAR")
    return lengths > MAX_CHARACTERS


def count_cut(texts: list[str], cuts=has_more_characters) -> int:
    """Counts the texts that are longer than a text encoder reads.

    Args:
        texts: list of strings.
        cuts: function of a string tensor to which of its texts are cut.
            Defaults to `has_more_characters`.

    Returns:
        int.

    Example:

    >>> from keras_t2i.tokenizers import count_cut
    >>> count_cut(["a rose", "ß" * 101])
    1
    """
    return sum(
        int(np.sum(cuts(tf.constant(some)))) for some in _utf8_parts(texts)
    )


def tokenize_for(encoder, texts):
    """Turns texts into the ids that a text encoder reads.

    Args:
        encoder: `keras.Model` from ids to embeddings. One with a method
            `tokenize`, such as `CharCNNRNN`, says itself what it reads; any
            other reads characters.
        texts: string tensor of shape `(batch,)`. UTF-8.

    Returns:
        int32 tensor of shape `(batch, 201)`.

    Example:

    >>> from keras_t2i.tokenizers import tokenize_for
    >>> encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16)
    >>> tokenize_for(encoder, tf.constant(["a rose"])).shape
    TensorShape([1, 201])
    """
    return getattr(encoder, "tokenize", tokenize)(texts)


def cuts_of(encoder):
    """Returns what tells which texts a text encoder reads a part of only.

    Args:
        encoder: `keras.Model`, as for `tokenize_for`. One with a method `cuts`
            says so itself.

    Returns:
        Function of a string tensor of shape `(batch,)` to a bool tensor.
    """
    return getattr(encoder, "cuts", has_more_characters)


def split_words(texts):
    """Splits texts into words, after `keras_t2i.text.normalize`.

    A word is a run of letters, with the marks that combine with them, and of
    digits.

    Args:
        texts: string tensor of shape `(batch,)`. UTF-8.

    Returns:
        Ragged string tensor of shape `(batch, None)`.

    Example:

    >>> from keras_t2i.tokenizers import split_words
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

    >>> from keras_t2i.tokenizers import words_of_no_text
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

    >>> from keras_t2i.tokenizers import tokenize_words
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

    >>> from keras_t2i.tokenizers import vocabulary_of
    >>> vocabulary_of(["a red rose", "A rose"], size=2)
    ('a', 'rose')
    """
    if size < 1:
        raise ValueError(f"`size` must be at least 1. Received: {size!r}")
    counts = collections.Counter()
    for some in _utf8_parts(texts):
        counts.update(split_words(tf.constant(some)).flat_values.numpy())
    if not counts:
        raise ValueError("`texts` must hold some words. Received: none")
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return tuple(word.decode() for word in ranked[:size])


def _utf8_parts(texts):
    texts = iter(texts)
    while some := list(itertools.islice(texts, _TEXTS_AT_A_TIME)):
        yield utf8(some)


def _hash(words):
    # Of 62 bits, of which no two words of a vocabulary are alike in practice.
    return tf.strings.to_hash_bucket_fast(words, 2**62)
