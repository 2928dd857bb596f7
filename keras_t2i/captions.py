"""Which texts are captions."""

from collections.abc import Iterable


def is_empty_caption(text: str) -> bool:
    """Whether a text says nothing: white space, or the literal `{}`.

    Published caption files hold `{}` where a caption is missing.

    Example:

    >>> from keras_t2i.captions import is_empty_caption
    >>> [is_empty_caption(text) for text in ["a red flower", " ", "{}"]]
    [False, True, True]
    """
    return _strip(text) in ("", "{}")


def check_captions(texts: Iterable[str], where: str = "") -> None:
    """Raises `ValueError` if a caption says nothing.

    Args:
        texts: iterable of strings.
        where: string. Follows the caption in the message, such as
            `" for image 3"`. Defaults to `""`.
    """
    for text in texts:
        if is_empty_caption(text):
            raise ValueError(
                f"A caption must hold some text. Received: {text!r}{where}"
            )


def usable_captions(texts: Iterable[str]) -> tuple[str, ...]:
    """Leaves out texts that are empty or not UTF-8, and strips the others.

    Args:
        texts: iterable of strings.

    Returns:
        Tuple of strings, without white space or byte-order mark around them
        and otherwise as written.

    Example:

    >>> from keras_t2i.captions import usable_captions
    >>> usable_captions([" a red flower ", "{}", ""])
    ('a red flower',)
    """
    return tuple(
        _strip(text)
        for text in texts
        if not is_empty_caption(text) and is_utf8(text)
    )


def is_utf8(text: str) -> bool:
    r"""Whether a text can be written as UTF-8.

    Surrogates cannot. They stand for bytes that are not UTF-8, in file names
    and in texts decoded with `surrogateescape`.

    Example:

    >>> from keras_t2i.captions import is_utf8
    >>> latin = b"g\xe4nsebl\xfcmchen"
    >>> is_utf8(latin.decode("latin-1"))
    True
    >>> is_utf8(latin.decode("utf-8", "surrogateescape"))
    False
    """
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _strip(text: str) -> str:
    return text.strip().strip("\ufeff").strip()
