"""Which captions text encoders read a part of only."""

import unicodedata

from keras_t2i.text.alphabet import MAX_CHARACTERS


def is_long_caption(text: str) -> bool:
    """Whether a text has more characters than text encoders read.

    Counted as they are read, after NFKC and case folding.

    Args:
        text: string.

    Returns:
        bool.

    Example:

    >>> from keras_t2i.datasets.long_captions import is_long_caption
    >>> [is_long_caption("a" * 201), is_long_caption("ß" * 101)]
    [False, True]
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).casefold()
    return len(text) > MAX_CHARACTERS
