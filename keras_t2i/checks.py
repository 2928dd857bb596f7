"""Checks of arguments that many functions take."""

import numbers
from typing import Any

# The image sizes that the networks come in.
IMAGE_SIZES = (32, 64, 128, 256)


def check_whole_number(value: Any, name: str, at_least: int) -> None:
    """Raises `ValueError` unless a value is a whole number and large enough.

    Args:
        value: the argument. NumPy's integers pass too, floats and bools fail.
        name: string. Name of the argument, for the message.
        at_least: int.

    Example:

    >>> from keras_t2i.checks import check_whole_number
    >>> check_whole_number(2.5, "batch_size", at_least=1)
    Traceback (most recent call last):
    ValueError: `batch_size` must be a whole number of at least 1. Received: 2.5
    """
    is_whole = isinstance(value, numbers.Integral)
    if not is_whole or isinstance(value, bool) or value < at_least:
        raise ValueError(
            f"`{name}` must be a whole number of at least {at_least}. "
            f"Received: {value!r}"
        )


def check_image_size(image_size: object) -> None:
    """Raises `ValueError` for a size that the networks do not come in."""
    if image_size not in IMAGE_SIZES:
        raise ValueError(
            f"`image_size` must be one of {list(IMAGE_SIZES)}. Received: "
            f"{image_size!r}"
        )
