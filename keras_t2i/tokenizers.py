"""Texts to ids of characters or words, the same in training and serving."""

import collections
import itertools
import warnings
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from keras_t2i.checks import check_whole_number
from keras_t2i.fit_checks import words_of
from keras_t2i.types import Tensor

# "-" is there twice, as in the published code. Its look-up keeps the later
# place, so column 37 is never set.
ALPHABET = (
    "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} "
)

# A code point below 128 -> its place in the alphabet, from 1; 0 elsewhere.
CHARACTER_IDS = [0] * 128
for _place, _character in enumerate(ALPHABET, start=1):
    CHARACTER_IDS[ord(_character)] = _place

# Characters beyond this many are cut (Reed et al., 2016, CVPR).
MAX_CHARACTERS = 201
# The "default ignorable" code points of Unicode that NFKC leaves: joiners,
# variation selectors, soft hyphens. RE2 has no name for them.
_IGNORABLE = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
# Letters with their marks, and digits; everything else separates words.
_BETWEEN_WORDS = r"[^\pL\pM\pN]+"
# Texts that are counted at a time, which bounds the memory.
_TEXTS_AT_A_TIME = 1000
# What helps where most characters, or most words, are unknown.
ADVICE_ON_CHARACTERS = (
    "Such texts are embedded nearly alike. Train a text encoder of words "
    "(`train-text --preset word_cnn_rnn_small`) or, where spaces do not "
    "separate words, bring embeddings of your own (`train --text-embeddings`)."
)
ADVICE_ON_WORDS = (
    "Such texts are embedded nearly alike. Use words that the text encoder was "
    "trained with, train one with these words or, where spaces do not separate "
    "words, bring embeddings of your own (`train --text-embeddings`)."
)


def normalize(texts: Tensor) -> Tensor:
    """Makes any bytes a canonical Unicode text.

    Invalid UTF-8 becomes U+FFFD, then Unicode's NFKC and case folding are
    applied. Invisible characters, such as joiners, become U+FFFD too.

    Args:
        texts: string tensor of any shape. UTF-8.

    Returns:
        String tensor of the same shape.

    Example:

    >>> texts = keras_t2i.text.normalize(tf.constant(["ＲＥＤ Rose"]))
    >>> texts.numpy()[0].decode()
    'red rose'
    """
    # `normalize_utf8` would pass invalid bytes on unchanged.
    texts = tf.strings.unicode_transcode(
        texts, "UTF-8", "UTF-8", errors="replace"
    )
    texts = tf_text.normalize_utf8(texts, "NFKC")
    # Case folding would drop them, but each code point takes a column.
    texts = tf.strings.regex_replace(texts, _IGNORABLE, "\ufffd")
    return tf_text.case_fold_utf8(texts)


def utf8(texts: Iterable[str]) -> list[bytes]:
    """Encodes strings for TensorFlow, which fails at some of them.

    Half of a surrogate pair, which Python allows, becomes invalid UTF-8;
    `normalize` replaces it like any other.
    """
    return [text.encode("utf-8", "surrogatepass") for text in texts]


@tf.autograph.experimental.do_not_convert
def tokenize(texts: Tensor) -> Tensor:
    """Turns texts into the character ids that `CharCNNRNN` reads.

    After `normalize`, each code point takes one column: its place in the
    alphabet from 1 to 70, or 0 for a character outside it and for padding.

    Args:
        texts: string tensor of shape `(batch,)`. UTF-8.

    Returns:
        int32 tensor of shape `(batch, 201)`. Longer texts are cut.

    Raises:
        ValueError: `texts` has another shape, such as that of one string.

    Example:

    >>> ids = keras_t2i.text.tokenize(tf.constant(["a 1é"]))
    >>> ids.shape, ids.numpy()[0, :5].tolist()
    (TensorShape([1, 201]), [1, 70, 28, 0, 0])

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05395), section 4.
    """
    texts = _checked_batch(texts)
    code_points = tf.strings.unicode_decode(normalize(texts), "UTF-8")
    # Cut before padding: one long text would widen the whole batch.
    code_points = code_points[:, :MAX_CHARACTERS]
    code_points = code_points.to_tensor(shape=(None, MAX_CHARACTERS))
    table = tf.constant(CHARACTER_IDS, tf.int32)
    in_table = code_points < len(CHARACTER_IDS)
    ids = tf.gather(table, tf.where(in_table, code_points, 0))
    return tf.where(in_table, ids, 0)


def _checked_batch(texts: Tensor) -> tf.Tensor:
    texts = tf.convert_to_tensor(texts, dtype_hint=tf.string)
    # In a graph, the rank may be unknown.
    if texts.dtype != tf.string or texts.shape.rank not in (None, 1):
        raise ValueError(
            "`texts` must be a list or a tensor of strings, of shape (batch,). "
            f"Received: {texts.dtype.name} of shape {texts.shape}"
        )
    return texts


def num_characters(texts: Tensor) -> Tensor:
    """Counts the characters that `tokenize` meets, as ints `(batch,)`."""
    return tf.strings.length(normalize(texts), unit="UTF8_CHAR")


class Unread(NamedTuple):
    """How much of some texts a text encoder does not read.

    Attributes:
        num_cut: int. Texts that are longer than it reads.
        num_unknown: int. Texts with characters or words that it does not know.
        num_tokens: int. Characters or words, without those that are cut.
        num_unknown_tokens: int. Those among them that it does not know.
    """

    num_cut: int = 0
    num_unknown: int = 0
    num_tokens: int = 0
    num_unknown_tokens: int = 0

    @property
    def is_most(self) -> bool:
        """Whether it does not know most characters or words."""
        return 2 * self.num_unknown_tokens > self.num_tokens


def unread_by(encoder: Any, texts: Iterable[str]) -> Unread:
    """Counts what a text encoder does not read of some texts.

    Like `None`, an encoder without a method `tokenize` reads characters. One
    that has it must also have `lengths`, as `CharCNNRNN` has; otherwise nothing
    is counted.
    """
    lengths: Callable[[Tensor], Tensor] | None = num_characters
    if hasattr(encoder, "tokenize"):
        lengths = getattr(encoder, "lengths", None)
    if lengths is None:
        return Unread()
    counts = [Unread()]
    for part in _utf8_parts(texts):
        batch = tf.constant(part)
        length = np.asarray(lengths(batch))
        read = np.minimum(length, MAX_CHARACTERS)
        unknown = read - np.count_nonzero(tokenize_for(encoder, batch), axis=1)
        counts.append(
            Unread(
                int(np.sum(length > MAX_CHARACTERS)),
                int(np.count_nonzero(unknown)),
                int(np.sum(read)),
                int(np.sum(unknown)),
            )
        )
    return sum_unread(counts)


def sum_unread(counts: Iterable[Iterable[int]]) -> Unread:
    """Adds up what `unread_by` has counted."""
    return Unread(*map(sum, zip(*counts)))


def warn_of_unknown(encoder: Any, texts: Iterable[str]) -> None:
    """Warns if a text encoder does not know most of what texts consist of."""
    unread = unread_by(encoder, texts)
    if unread.is_most:
        of_words = getattr(encoder, "vocabulary", None) is not None
        warnings.warn(
            f"The text encoder does not know {unread.num_unknown_tokens} of "
            f"{unread.num_tokens} {'words' if of_words else 'characters'}. "
            + (ADVICE_ON_WORDS if of_words else ADVICE_ON_CHARACTERS),
            stacklevel=3,
        )


def vocabulary_read_by(
    tokenizer: Callable[[Tensor], Tensor],
) -> tuple[str, ...] | None:
    """Returns the words that a tokenizer knows, none for one of characters.

    `tokenizer` is `tokenize`, or the method `tokenize` of a text encoder. The
    result is `None` for other functions.
    """
    if tokenizer is tokenize:
        return ()
    encoder = getattr(tokenizer, "__self__", None)
    return words_of(encoder)


def tokenize_for(encoder: Any, texts: Tensor) -> Tensor:
    """Turns texts into the ids that a text encoder reads.

    An encoder without a method `tokenize`, which `CharCNNRNN` has, reads
    characters.
    """
    return getattr(encoder, "tokenize", tokenize)(texts)


def token_batches(encoder: Any, texts: Any, batch_size: int) -> tf.data.Dataset:
    """Makes batches of the ids that a text encoder reads of encoded texts."""
    batches = tf.data.Dataset.from_tensor_slices(texts).batch(batch_size)
    batches = batches.map(lambda some: tokenize_for(encoder, some))
    return untuned(batches.prefetch(2))


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Switches autotuning off, for streams that leave it nothing to choose.

    The tuner wakes after 10 ms, then after twice as long each time, up to a
    minute. In TensorFlow 2.21 a stream that ends often waits until it wakes
    again: up to as long as the stream has taken, and at most a minute.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def split_words(texts: Tensor) -> Tensor:
    """Splits texts into words, after `keras_t2i.text.normalize`.

    A word is a run of digits and of letters with their combining marks. The
    result is a ragged string tensor of shape `(batch, None)`.

    Example:

    >>> from keras_t2i.tokenizers import split_words
    >>> split_words(tf.constant(["A red, five-petaled rose."])).to_list()
    [[b'a', b'red', b'five', b'petaled', b'rose']]
    """
    texts = tf.strings.regex_replace(normalize(texts), _BETWEEN_WORDS, " ")
    return tf.strings.split(texts)


def never_read_words(words: Iterable[str]) -> list[str]:
    """Lists the words that `split_words` would split or change."""
    words = list(words)
    encoded = utf8(words)
    split = split_words(tf.constant(encoded)).to_list()
    return [
        word
        for word, whole, parts in zip(words, encoded, split)
        if parts != [whole]
    ]


@tf.autograph.experimental.do_not_convert
def tokenize_words(texts: Tensor, vocabulary: tuple[str, ...]) -> Tensor:
    """Turns UTF-8 texts of shape `(batch,)` into word ids.

    Each word takes one column: its place in the vocabulary, from 1, or 0 for a
    word outside it and for padding. `vocabulary` is like those of
    `vocabulary_of`. The ids are int32 of shape `(batch, 201)`. Longer texts are
    cut.
    """
    words = split_words(_checked_batch(texts))[:, :MAX_CHARACTERS]
    words = words.to_tensor(shape=(None, MAX_CHARACTERS))
    # A binary search among hashes. A table would be a resource, which every
    # exporter would have to track and initialize.
    known = tf.constant(vocabulary)
    hashes = _hash(known)
    order = tf.argsort(hashes)
    places = tf.searchsorted(
        tf.gather(hashes, order), tf.reshape(_hash(words), [-1])
    )
    places = tf.gather(order, tf.minimum(places, tf.size(order) - 1))
    places = tf.reshape(places, tf.shape(words))
    is_known = tf.gather(known, places) == words
    return tf.where(is_known, places + 1, 0)


def num_words(texts: Tensor) -> Tensor:
    """Counts the words that `tokenize_words` meets, as ints `(batch,)`."""
    return split_words(texts).row_lengths()


def vocabulary_of(texts: Iterable[str], size: int) -> tuple[str, ...]:
    """Lists the `size` most frequent words, equals in alphabetic order.

    Raises `ValueError` if `size` is no whole number of at least 1, or `texts`
    are no strings or hold no word.

    Example:

    >>> from keras_t2i.tokenizers import vocabulary_of
    >>> vocabulary_of(["a red rose", "A rose"], size=2)
    ('a', 'rose')
    """
    check_whole_number(size, "size", at_least=1)
    if isinstance(texts, (str, bytes)):
        raise ValueError(
            f"`texts` must be several strings. Received: one, {texts[:40]!r}"
        )
    counts: collections.Counter[bytes] = collections.Counter()
    for some in _utf8_parts(texts):
        counts.update(split_words(tf.constant(some)).flat_values.numpy())
    if not counts:
        raise ValueError("`texts` must hold some words. Received: none")
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return tuple(word.decode() for word in ranked[:size])


def _utf8_parts(texts: Iterable[str]) -> Iterator[list[bytes]]:
    texts = iter(texts)
    while some := list(itertools.islice(texts, _TEXTS_AT_A_TIME)):
        for text in some:
            if not isinstance(text, str):
                raise ValueError(
                    f"`texts` must be strings. Received: {text!r:.60}"
                )
        yield utf8(some)


def _hash(words: Tensor) -> Tensor:
    # 62 bits: in practice no two words of a vocabulary collide.
    return tf.strings.to_hash_bucket_fast(words, 2**62)
