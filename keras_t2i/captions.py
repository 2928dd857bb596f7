"""Which texts are captions."""

import re
from collections.abc import Iterable

# Far more than text encoders read. Longer ones are other files by mistake, and
# TensorFlow aborts at the longest.
MAX_CAPTION_CHARACTERS = 10_000


def is_empty_caption(text: str) -> bool:
    """Whether a text says nothing: white space, or the literal `{}`.

    Published caption files hold `{}` where a caption is missing.
    """
    return _strip(text) in ("", "{}")


def check_captions(texts: Iterable[str], where: str = "") -> None:
    """Raises `ValueError` if a caption says nothing.

    In the message, `where` follows the caption, such as `" for image 3"`.
    """
    for text in texts:
        if is_empty_caption(text):
            raise ValueError(
                f"A caption must hold some text. Received: {text!r}{where}"
            )


def usable_captions(texts: Iterable[str]) -> tuple[str, ...]:
    """Leaves out texts that are empty or damaged, and strips the others.

    They lose white space and byte-order marks around them, and are otherwise as
    written.
    """
    return tuple(
        _strip(text)
        for text in texts
        if not is_empty_caption(text) and caption_damage(text) is None
    )


def caption_damage(text: str) -> str | None:
    """Tells why a text of a file cannot be a caption, or `None`."""
    if not is_utf8(text):
        return "is not UTF-8"
    if len(text) > MAX_CAPTION_CHARACTERS:
        return (
            f"has {len(text):,} characters, more than the "
            f"{MAX_CAPTION_CHARACTERS:,} that a caption may have"
        )
    return None


def is_utf8(text: str) -> bool:
    """Whether a text can be written as UTF-8.

    Surrogates cannot. They stand for bytes that are not UTF-8, in file names
    and in texts decoded with `surrogateescape`.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def file_name(caption: str) -> str:
    """Returns the words of a caption as the stem of a file."""
    words = re.sub(r"[^a-z0-9]+", "-", caption.lower()).strip("-")
    return words[:40].strip("-") or "caption"


def _strip(text: str) -> str:
    return text.strip().strip("\ufeff").strip()
