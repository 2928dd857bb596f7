"""Which captions of a file are used."""

import os
import pathlib
from collections.abc import Iterable

from keras_t2i.datasets.source import UnusableFileError


def is_empty_caption(text: str) -> bool:
    """Whether a text says nothing: white space, or the literal `{}`.

    Published caption files hold `{}` where a caption is missing.

    Args:
        text: string.

    Returns:
        bool.

    Example:

    >>> from keras_t2i.datasets.captions import is_empty_caption
    >>> [is_empty_caption(text) for text in ["a red flower", " ", "{}"]]
    [False, True, True]
    """
    return _strip(text) in ("", "{}")


def usable_captions(texts: Iterable[str]) -> tuple[str, ...]:
    """Leaves out the captions that say nothing, and strips the others.

    Args:
        texts: iterable of strings. A text that UTF-8 can not hold (half of a
            surrogate pair) is left out too.

    Returns:
        Tuple of strings, without white space or byte-order mark around them
        and otherwise as written.

    Example:

    >>> from keras_t2i.datasets.captions import usable_captions
    >>> usable_captions([" a red flower ", "{}", ""])
    ('a red flower',)
    """
    return tuple(
        _strip(text)
        for text in texts
        if not is_empty_caption(text) and is_utf8(text)
    )


def read_captions(path: str | os.PathLike) -> tuple[str, ...]:
    """Reads a file with one caption a line.

    Args:
        path: path of a UTF-8 text file.

    Returns:
        Tuple of strings, at least one: the usable captions.

    Raises:
        UnusableFileError: the file can not be read, is not UTF-8, or has no
            usable caption.
    """
    try:
        text = pathlib.Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnusableFileError(
            str(path), f"is not UTF-8 (byte {error.start}: {error.reason})"
        ) from None
    except OSError as error:
        raise UnusableFileError(str(path), str(error.strerror)) from None
    # Not splitlines, which also cuts at characters such as U+2028.
    captions = usable_captions(text.split("\n"))
    if not captions:
        raise UnusableFileError(str(path), "has no usable caption")
    return captions


def is_utf8(text: str) -> bool:
    r"""Whether a text can be written as UTF-8.

    Args:
        text: string. Surrogates, which stand for bytes that are not UTF-8 in
            file names and in texts decoded with `surrogateescape`, can not.

    Returns:
        bool.

    Example:

    >>> from keras_t2i.datasets.captions import is_utf8
    >>> latin = b"g\xe4nsebl\xfcmchen"
    >>> is_utf8(latin.decode("latin-1"))
    True
    >>> is_utf8(latin.decode("utf-8", "surrogateescape"))
    False
    """
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _strip(text):
    return text.strip().strip("\ufeff").strip()
