"""Strings to character ids, in TensorFlow: the same in training and serving."""

import tensorflow as tf
import tensorflow_text as tf_text

from keras_t2i.text.alphabet import CHARACTER_IDS
from keras_t2i.text.alphabet import MAX_CHARACTERS

# What Unicode calls default ignorable, as far as NFKC leaves it: joiners,
# variation selectors, soft hyphens. RE2 knows no name for them.
_IGNORABLE = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


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

    >>> from keras_t2i.text.tokenizer import utf8
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

    >>> from keras_t2i.text.tokenizer import has_more_characters
    >>> has_more_characters(tf.constant(["a" * 201, "a" * 202])).numpy()
    array([False,  True])
    """
    lengths = tf.strings.length(normalize(texts), unit="UTF8_CHAR")
    return lengths > MAX_CHARACTERS


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

    >>> from keras_t2i.text.tokenizer import tokenize_for
    >>> encoder = keras_t2i.CharCNNRNN((8, 8, 8), embedding_dim=16)
    >>> tokenize_for(encoder, tf.constant(["a rose"])).shape
    TensorShape([1, 201])
    """
    return getattr(encoder, "tokenize", tokenize)(texts)


def cuts_for(encoder, texts):
    """Tells which texts are longer than a text encoder reads.

    Args:
        encoder: `keras.Model`, as for `tokenize_for`. One with a method `cuts`
            says so itself.
        texts: string tensor of shape `(batch,)`. UTF-8.

    Returns:
        bool tensor of shape `(batch,)`.
    """
    return getattr(encoder, "cuts", has_more_characters)(texts)
